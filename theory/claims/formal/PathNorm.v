(* Owns wu2023/two-layer with a bias: the trace bounds no norm of the weights from below, for a neuron that sees few points costs little. On
   x uniform on [-sqrt(3), sqrt(3)] and on x = 1 or -1; both have mean 0 and mean square 1, x and -x alike. *)
From Coq Require Import Reals List Lra Lia Psatz Arith.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer.
Import ListNotations.
Open Scope R_scope.

(* v is the mean of g over x uniform on [-sqrt(3), sqrt(3)]. *)
Definition uniform_mean (g : R -> R) (v : R) : Prop := is_RInt (fun x => g x / (2 * sqrt 3)) (- sqrt 3) (sqrt 3) v.

(* a relu(w x + b) *)
Definition neuron (w b a : R) (p : parameter) : R := match p with Weight _ 0 => w | Weight _ _ => b | Output _ => a end.
Definition input (x : R) : point := with_one 1 (fun _ => x).
Definition squared_gradient_at (theta : parameter -> R) (x : R) : R :=
  squared_gradient (parameters 1 2) (fun th => network 1 2 th (input x)) theta.

(* |a| |w| and |a| ||(w, b)|| *)
Definition path (theta : parameter -> R) : R := Rabs (theta (Output 0)) * Rabs (theta (Weight 0 0)).
Definition path_with_bias (theta : parameter -> R) : R := Rabs (theta (Output 0)) * norm 2 (fun k => theta (Weight 0 k)).

Lemma path_le : forall theta, path theta <= path_with_bias theta.
Proof.
  intros theta. apply Rmult_le_compat_l; [apply Rabs_pos|]. rewrite <- sqrt_Rsqr_abs. apply sqrt_le_1_alt.
  unfold squared_norm, Rsqr. cbn [below seq Sum]. pose proof (pow2_ge_0 (theta (Weight 0 1))). lra.
Qed.

Lemma neuron_pre : forall w b a x, preactivation 2 (neuron w b a) 0 (input x) = w * x + b.
Proof. intros. unfold preactivation. unfold input. rewrite dot_with_one. unfold dot. cbn [below seq Sum neuron]. ring. Qed.

Lemma input_norm : forall x, squared_norm 2 (input x) = x ^ 2 + 1.
Proof. intros. unfold input. rewrite squared_norm_with_one. unfold squared_norm. cbn [below seq Sum]. ring. Qed.

Lemma neuron_off_kinks : forall w b a x, w * x + b <> 0 -> off_kinks 1 2 (neuron w b a) (input x).
Proof. intros w b a x N j J _. replace j with 0%nat by lia. rewrite neuron_pre. auto. Qed.

Lemma neuron_gradient : forall w b a x, w * x + b <> 0 ->
  squared_gradient_at (neuron w b a) x = (a * step (w * x + b)) ^ 2 * (x ^ 2 + 1) + relu (w * x + b) ^ 2.
Proof.
  intros w b a x N. unfold squared_gradient_at. rewrite gradient_norm by (apply neuron_off_kinks; auto).
  rewrite input_norm. cbn [below seq Sum]. rewrite neuron_pre. cbn [neuron]. ring.
Qed.

(* --- the uniform law -------------------------------------------------------------------------------------------------------------------- *)

Lemma root3 : 0 < sqrt 3 /\ sqrt 3 * sqrt 3 = 3 /\ 1 < sqrt 3 < 2.
Proof.
  assert (P : 0 < sqrt 3) by (apply sqrt_lt_R0; lra). assert (E : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  split; auto. split; auto. split; nra.
Qed.

Lemma same_integral : forall (f g : R -> R) a b v, (forall x, Rmin a b < x < Rmax a b -> f x = g x) -> is_RInt f a b v -> is_RInt g a b v.
Proof. intros f g a b v E I. apply (@is_RInt_ext R_NormedModule f g a b v E I). Qed.

(* The integral of a polynomial, by its antiderivative. *)
Lemma by_antiderivative : forall (F g : R -> R) a b v, v = F b - F a -> (forall x, is_derive F x (g x)) -> (forall x, ex_derive g x) ->
  is_RInt g a b v.
Proof.
  intros F g a b v -> D C. apply (is_RInt_derive F g); auto. intros. apply (@ex_derive_continuous R_AbsRing R_NormedModule). auto.
Qed.

Lemma uniform_moments : uniform_mean (fun x => 1) 1 /\ uniform_mean (fun x => x) 0 /\ uniform_mean (fun x => x ^ 2) 1.
Proof.
  destruct root3 as (P & E & _). unfold uniform_mean. set (r := sqrt 3) in *. split; [|split].
  - apply (by_antiderivative (fun x => x / (2 * r))); [field; lra|intros; auto_derive; auto; field; lra|intros; auto_derive; auto].
  - apply (by_antiderivative (fun x => x ^ 2 / (4 * r))); [field; lra|intros; auto_derive; auto; field; lra|intros; auto_derive; auto].
  - apply (by_antiderivative (fun x => x ^ 3 / (6 * r))); [|intros; auto_derive; auto; field; lra|intros; auto_derive; auto].
    transitivity (r * r / 3); [rewrite E; field|field; lra].
Qed.

(* relu(x - sqrt(3) + delta): the trace, 2 E ||grad f||^2. *)
Lemma edge_trace : forall delta, 0 < delta < 1 ->
  uniform_mean (fun x => 2 * squared_gradient_at (neuron 1 (- sqrt 3 + delta) 1) x)
    ((4 * delta - sqrt 3 * delta ^ 2 + 2 / 3 * delta ^ 3) / sqrt 3).
Proof.
  intros delta [D0 D1]. destruct root3 as (P & E & R1 & R2). unfold uniform_mean. set (r := sqrt 3) in *.
  set (e := r - delta). set (t := (4 * delta - r * delta ^ 2 + 2 / 3 * delta ^ 3) / r).
  change (is_RInt (fun x => 2 * squared_gradient_at (neuron 1 (- r + delta) 1) x / (2 * r)) (- r) r t).
  replace t with (@plus R_NormedModule 0 t) by (unfold plus; simpl; ring). apply (@is_RInt_Chasles R_NormedModule _ (- r) e r 0 t).
  - apply same_integral with (fun _ => 0).
    + intros x [_ H]. rewrite Rmax_right in H by (unfold e; lra).
      rewrite neuron_gradient by (unfold e in H; lra). unfold step. destruct (Rlt_dec 0 (1 * x + (- r + delta))); [unfold e in H; lra|].
      rewrite relu_neg by lra. field. lra.
    + apply (by_antiderivative (fun _ => 0)); [ring|intros; auto_derive; auto|intros; auto_derive; auto].
  - set (F := fun x => (x ^ 3 / 3 + x + (x - e) ^ 3 / 3) / r). set (g := fun x => (x ^ 2 + 1 + (x - e) ^ 2) / r).
    apply same_integral with g.
    + intros x [H _]. rewrite Rmin_left in H by (unfold e; lra). rewrite neuron_gradient by (unfold e in H; lra).
      unfold step. destruct (Rlt_dec 0 (1 * x + (- r + delta))); [|unfold e in H; lra]. rewrite relu_pos by lra.
      unfold g, e. field. lra.
    + apply (by_antiderivative F); [|intros; unfold F, g; auto_derive; auto; field; lra|intros; unfold g; auto_derive; auto].
      unfold F, t, e. apply Rmult_eq_reg_r with r; [|lra]. transitivity (4 * delta - r * delta ^ 2 + 2 / 3 * delta ^ 3); [field; lra|].
      transitivity (r * r * delta + delta - r * delta ^ 2 + 2 / 3 * delta ^ 3); [rewrite E; ring|field; lra].
Qed.

(* --- two points -------------------------------------------------------------------------------------------------------------------------- *)

(* relu((x - 1 + k^2)/k) k at x = -1 and 1: it fits 0 and k^2, and the trace of the Hessian is 3 k^2. *)
Definition two_points (k : R) : samples := [((fun _ => - 1), 0); ((fun _ => 1), k ^ 2)].
Definition corner (k : R) : parameter -> R := neuron (/ k) ((k ^ 2 - 1) / k) k.

Lemma corner_trace : forall k, 0 < k < 1 -> fits 1 1 (corner k) (two_points k) /\ sharpness 1 1 (corner k) (two_points k) = 3 * k ^ 2.
Proof.
  intros k [K0 K1]. assert (I := Rinv_0_lt_compat k K0).
  assert (Low : / k * - 1 + (k ^ 2 - 1) / k < 0).
  { replace (/ k * - 1 + (k ^ 2 - 1) / k) with (- ((2 - k ^ 2) * / k)) by (field; lra).
    assert (0 < (2 - k ^ 2) * / k) by (apply Rmult_lt_0_compat; nra). lra. }
  assert (High : / k * 1 + (k ^ 2 - 1) / k = k) by (field; lra).
  assert (F : fits 1 1 (corner k) (two_points k)).
  { split; intros s [<-|[<-|[]]]; cbn [fst snd].
    - apply smooth_with_one. apply (neuron_off_kinks _ _ _ (- 1)). lra.
    - apply smooth_with_one. apply (neuron_off_kinks _ _ _ 1). lra.
    - unfold network. cbn [below seq Sum]. unfold corner. fold (input (- 1)). rewrite neuron_pre, relu_neg by lra. ring.
    - unfold network. cbn [below seq Sum]. unfold corner. fold (input 1). rewrite neuron_pre, High, relu_pos by lra. cbn [neuron]. ring. }
  split; [exact F|]. rewrite sharpness_of by exact F. unfold two_points. cbn [length INR Sum fst].
  fold (input (- 1)). fold (input 1). fold (squared_gradient_at (corner k) (- 1)). fold (squared_gradient_at (corner k) 1).
  unfold corner. rewrite !neuron_gradient by lra. rewrite High, (relu_neg (_ + _)), (relu_pos k) by lra.
  unfold step. destruct (Rlt_dec 0 (/ k * - 1 + (k ^ 2 - 1) / k)); [lra|]. destruct (Rlt_dec 0 k); [|lra]. field.
Qed.

(* wu2023/two-layer fails with a bias: no constant c > 0 makes the trace at least c times the path norm, with the bias counted or without. Not
   on the uniform law, for neurons active on an interval, where the trace is 2 E ||grad f||^2; nor on two points, where it is the Hessian's. *)
Theorem trace_bounds_no_norm :
  (uniform_mean (fun x => 1) 1 /\ uniform_mean (fun x => x) 0 /\ uniform_mean (fun x => x ^ 2) 1) /\ forall c, 0 < c ->
  (exists b v, let theta := neuron 1 b 1 in
     (exists l, l < sqrt 3 /\ forall x, l < x < sqrt 3 -> 0 < preactivation 2 theta 0 (input x))
     /\ uniform_mean (fun x => 2 * squared_gradient_at theta x) v /\ v < c * path theta /\ v < c * path_with_bias theta)
  /\ (exists theta y, fits 1 1 theta [((fun _ => - 1), 0); ((fun _ => 1), y)] /\ 0 < y
     /\ sharpness 1 1 theta [((fun _ => - 1), 0); ((fun _ => 1), y)] < c * path theta
     /\ sharpness 1 1 theta [((fun _ => - 1), 0); ((fun _ => 1), y)] < c * path_with_bias theta).
Proof.
  split; [exact uniform_moments|]. intros c C. destruct root3 as (P & E & R1 & R2). split.
  - set (delta := Rmin (1 / 2) (c / 4)). assert (D0 : 0 < delta) by (apply Rmin_glb_lt; lra).
    assert (D1 : delta <= 1 / 2) by apply Rmin_l. assert (D2 : delta <= c / 4) by apply Rmin_r.
    exists (- sqrt 3 + delta), ((4 * delta - sqrt 3 * delta ^ 2 + 2 / 3 * delta ^ 3) / sqrt 3). intros theta.
    assert (V : (4 * delta - sqrt 3 * delta ^ 2 + 2 / 3 * delta ^ 3) / sqrt 3 < c).
    { apply Rmult_lt_reg_r with (sqrt 3); auto. replace (_ / sqrt 3 * sqrt 3) with (4 * delta - sqrt 3 * delta ^ 2 + 2 / 3 * delta ^ 3) by (field; lra).
      assert (0 < delta ^ 2) by nra. assert (delta ^ 3 <= delta ^ 2) by nra. nra. }
    assert (Pn : path theta = 1) by (unfold path, theta, neuron; rewrite Rabs_R1; ring). assert (Le := path_le theta).
    split; [|split; [apply edge_trace; lra|split; [rewrite Pn; lra|nra]]].
    exists (sqrt 3 - delta). split; [lra|]. intros x [H _]. unfold theta. rewrite neuron_pre. lra.
  - set (k := Rmin (1 / 2) (c / 3)). assert (K0 : 0 < k) by (apply Rmin_glb_lt; lra).
    assert (K1 : k <= 1 / 2) by apply Rmin_l. assert (K2 : k <= c / 3) by apply Rmin_r.
    destruct (corner_trace k) as [F S]; [lra|]. exists (corner k), (k ^ 2). fold (two_points k). rewrite S.
    assert (Pn : path (corner k) = 1).
    { unfold path, corner, neuron. rewrite !Rabs_pos_eq; [field; lra|left; apply Rinv_0_lt_compat; auto|lra]. }
    assert (Le := path_le (corner k)). assert (3 * k ^ 2 < c) by nra. split; [exact F|]. split; [nra|]. split; nra.
Qed.
