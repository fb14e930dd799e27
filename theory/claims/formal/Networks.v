(* Owns two-layer ReLU networks of any width: f(x) = sum_j a_j relu(w_j . x), their parameters, where they are differentiable, and what
   their derivatives are. A bias is the weight of a last coordinate that is 1: x' = (x, 1). *)
From Coq Require Import Reals List Lra Lia Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus.
Import ListNotations.
Open Scope R_scope.

Definition relu (z : R) : R := Rmax 0 z.
Definition step (z : R) : R := if Rlt_dec 0 z then 1 else 0. (* 1[z > 0] *)
Definition sgn (y : R) : R := if Rlt_dec 0 y then 1 else if Rlt_dec y 0 then - 1 else 0.

Lemma relu_pos : forall z, 0 <= z -> relu z = z.
Proof. intros. unfold relu. apply Rmax_right; auto. Qed.

Lemma relu_neg : forall z, z <= 0 -> relu z = 0.
Proof. intros. unfold relu. apply Rmax_left; auto. Qed.

Lemma relu_nonneg : forall z, 0 <= relu z.
Proof. intros. apply Rmax_l. Qed.

Lemma relu_ge : forall z, z <= relu z.
Proof. intros. apply Rmax_r. Qed.

Lemma relu_step : forall z, relu z = step z * z.
Proof. intros. unfold step. destruct (Rlt_dec 0 z); [rewrite relu_pos|rewrite relu_neg]; lra. Qed.

Lemma step_relu : forall z, step z * relu z = relu z.
Proof. intros. unfold step. destruct (Rlt_dec 0 z); [lra|rewrite relu_neg; lra]. Qed.

Lemma step_square : forall z, step z * step z = step z.
Proof. intros. unfold step. destruct (Rlt_dec 0 z); lra. Qed.

Lemma relu_scal : forall c z, 0 <= c -> relu (c * z) = c * relu z.
Proof.
  intros. destruct (Rle_dec 0 z).
  - rewrite !relu_pos; auto. apply Rmult_le_pos; auto.
  - rewrite !relu_neg; try lra. assert (0 <= c * - z) by (apply Rmult_le_pos; lra). lra.
Qed.

Lemma sgn_abs : forall y, sgn y * y = Rabs y.
Proof.
  intros. unfold sgn. destruct (Rlt_dec 0 y); [rewrite Rabs_pos_eq; lra|].
  destruct (Rlt_dec y 0); [rewrite Rabs_left; lra|]. replace y with 0 by lra. rewrite Rabs_R0. ring.
Qed.

Lemma sgn_square : forall y, y <> 0 -> sgn y * sgn y = 1.
Proof. intros. unfold sgn. destruct (Rlt_dec 0 y), (Rlt_dec y 0); lra. Qed.

(* --- inputs ---------------------------------------------------------------------------------------------------------------- *)

Definition point := nat -> R. (* coordinates 0, ..., d - 1 count *)
Definition dot (d : nat) (w x : point) : R := Sum (below d) (fun k => w k * x k).
Definition squared_norm (d : nat) (x : point) : R := Sum (below d) (fun k => x k ^ 2).
Definition norm (d : nat) (x : point) : R := sqrt (squared_norm d x).
Definition with_one (d : nat) (x : point) : point := fun k => if (k =? d)%nat then 1 else x k.

Lemma squared_norm_nonneg : forall d x, 0 <= squared_norm d x.
Proof. intros. apply sum_nonneg. intros. apply pow2_ge_0. Qed.

Lemma norm_nonneg : forall d x, 0 <= norm d x.
Proof. intros. apply sqrt_pos. Qed.

Lemma norm_square : forall d x, norm d x ^ 2 = squared_norm d x.
Proof. intros. unfold norm. rewrite <- Rsqr_pow2. apply Rsqr_sqrt. apply squared_norm_nonneg. Qed.

Lemma squared_norm_with_one : forall d x, squared_norm (S d) (with_one d x) = squared_norm d x + 1.
Proof.
  intros. unfold squared_norm. rewrite sum_below_S. unfold with_one at 2. rewrite Nat.eqb_refl.
  f_equal; [|ring]. apply sum_ext. intros k K. apply in_below in K. unfold with_one.
  destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma dot_with_one : forall d w x, dot (S d) w (with_one d x) = dot d w x + w d.
Proof.
  intros. unfold dot. rewrite sum_below_S. unfold with_one at 2. rewrite Nat.eqb_refl.
  f_equal; [|ring]. apply sum_ext. intros k K. apply in_below in K. unfold with_one.
  destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma norm_with_one_pos : forall d x, 0 < norm (S d) (with_one d x).
Proof.
  intros. apply sqrt_lt_R0. rewrite squared_norm_with_one. pose proof (squared_norm_nonneg d x). lra.
Qed.

Lemma cauchy_dot : forall d w x, dot d w x ^ 2 <= squared_norm d w * squared_norm d x.
Proof. intros. apply cauchy. Qed.

Lemma dot_change : forall d w x k t, (k < d)%nat ->
  dot d (fun i => if Nat.eq_dec i k then t else w i) x = dot d w x + (t - w k) * x k.
Proof.
  intros. unfold dot.
  rewrite (sum_ext _ _ (fun i => w i * x i + (if Nat.eq_dec i k then (t - w k) * x k else 0))).
  - apply sum_changed. auto.
  - intros i _. destruct (Nat.eq_dec i k); [subst; ring|ring].
Qed.

(* --- networks ---------------------------------------------------------------------------------------------------------------- *)

Inductive parameter := Weight (j k : nat) | Output (j : nat).

#[export] Instance same_parameter : Indexed parameter.
Proof. unfold Indexed. decide equality; apply Nat.eq_dec. Defined.

(* Those of width m on d coordinates. *)
Definition parameters (m d : nat) : list parameter :=
  flat_map (fun j => map (Weight j) (below d)) (below m) ++ map Output (below m).

Definition preactivation (d : nat) (theta : parameter -> R) (j : nat) (x : point) : R := dot d (fun k => theta (Weight j k)) x.

Definition network (m d : nat) (theta : parameter -> R) (x : point) : R :=
  Sum (below m) (fun j => theta (Output j) * relu (preactivation d theta j x)).

Lemma sum_parameters : forall m d g,
  Sum (parameters m d) g = Sum (below m) (fun j => Sum (below d) (fun k => g (Weight j k))) + Sum (below m) (fun j => g (Output j)).
Proof.
  intros. unfold parameters. rewrite sum_app, sum_flat_map, sum_map. f_equal.
  apply sum_ext. intros. rewrite sum_map. auto.
Qed.

Lemma in_parameters : forall m d p, In p (parameters m d) <->
  match p with Weight j k => (j < m)%nat /\ (k < d)%nat | Output j => (j < m)%nat end.
Proof.
  intros. unfold parameters. rewrite in_app_iff, in_flat_map, in_map_iff. split.
  - intros [(j & J & I)|(j & E & J)].
    + apply in_map_iff in I. destruct I as (k & <- & K). rewrite in_below in *. auto.
    + subst. rewrite in_below in *. auto.
  - destruct p as [j k|j].
    + intros [J K]. left. exists j. split; [apply in_below; auto|]. apply in_map. apply in_below; auto.
    + intros J. right. exists j. split; auto. apply in_below; auto.
Qed.

(* No neuron that counts has its kink at x. *)
Definition off_kinks (m d : nat) (theta : parameter -> R) (x : point) : Prop :=
  forall j, (j < m)%nat -> theta (Output j) <> 0 -> preactivation d theta j x <> 0.

Lemma jet_relu : forall z, z <> 0 -> jet relu z (step z) 0.
Proof.
  intros z Z. unfold step. destruct (Rlt_dec 0 z) as [P|P].
  - apply jet_ext_loc with (fun t => 1 * t + 0); [|apply jet_affine].
    apply filter_imp with (fun t => 0 < t); [intros; rewrite relu_pos; lra|]. apply (open_gt 0); auto.
  - apply jet_ext_loc with (fun _ => 0); [|apply jet_const].
    apply filter_imp with (fun t => t < 0); [intros; rewrite relu_neg; lra|]. apply (open_lt 0); lra.
Qed.

(* relu has no derivative at 0, nor has a neuron that counts at its kink. *)
Lemma relu_kink : ~ ex_derive relu 0.
Proof.
  intros [l L]. apply is_derive_Reals in L. destruct (L (1 / 3)) as [delta D]; [lra|].
  assert (Q : 0 < delta / 2) by (destruct delta; simpl; lra).
  assert (P := D (delta / 2)). assert (N := D (- (delta / 2))).
  rewrite !Rplus_0_l, (relu_neg 0), !Rminus_0_r in P, N by lra.
  rewrite relu_pos in P by lra. rewrite relu_neg in N by lra.
  replace (delta / 2 / (delta / 2)) with 1 in P by (field; lra).
  replace (0 / - (delta / 2)) with 0 in N by (field; lra).
  assert (A : Rabs (delta / 2) < delta) by (rewrite Rabs_pos_eq; lra).
  specialize (P ltac:(lra) A). rewrite <- Rabs_Ropp in A. specialize (N ltac:(lra) A).
  apply Rabs_def2 in P. apply Rabs_def2 in N. lra.
Qed.

Lemma neuron_kink : forall a c t b, a <> 0 -> c <> 0 -> ~ ex_derive (fun s => a * relu ((s - t) * c) + b) t.
Proof.
  intros a c t b Ha Hc E. apply relu_kink.
  assert (I : ex_derive (fun v => / a * ((a * relu ((t + v / c - t) * c) + b) - b)) 0).
  { apply ex_derive_scal. apply @ex_derive_minus; [|apply ex_derive_const].
    apply (ex_derive_comp (fun s => a * relu ((s - t) * c) + b) (fun v => t + v / c) 0).
    - replace (t + 0 / c) with t by (field; auto). exact E.
    - auto_derive; auto. }
  apply ex_derive_ext with (2 := I). 
  enough (K : forall v : R, / a * ((a * relu ((t + v / c - t) * c) + b) - b) = relu v) by exact K.
  intros v. replace ((t + v / c - t) * c) with v by (field; auto). field. auto.
Qed.

Section Derivatives.
Variables (m d : nat) (theta : parameter -> R) (x : point).

Lemma preactivation_weight : forall j k t i, (k < d)%nat ->
  preactivation d (update theta (Weight j k) t) i x
  = preactivation d theta i x + (if Nat.eq_dec i j then (t - theta (Weight j k)) * x k else 0).
Proof.
  intros j k t i K. unfold preactivation. destruct (Nat.eq_dec i j) as [->|N].
  - rewrite <- (dot_change d (fun i => theta (Weight j i))) by auto. f_equal. apply functional_extensionality. intro i.
    unfold update. destruct (same (Weight j i) (Weight j k)), (Nat.eq_dec i k); congruence.
  - rewrite Rplus_0_r. f_equal. apply functional_extensionality. intro k'. apply update_other. congruence.
Qed.

Lemma along_weight : forall j k t, (j < m)%nat -> (k < d)%nat ->
  along (fun th => network m d th x) theta (Weight j k) t
  = network m d theta x - theta (Output j) * relu (preactivation d theta j x)
    + theta (Output j) * relu (preactivation d theta j x + (t - theta (Weight j k)) * x k).
Proof.
  intros j k t J K. unfold along, network.
  rewrite (sum_ext _ _ (fun i => theta (Output i) * relu (preactivation d theta i x) +
    (if Nat.eq_dec i j then theta (Output j) * relu (preactivation d theta j x + (t - theta (Weight j k)) * x k)
       - theta (Output j) * relu (preactivation d theta j x) else 0))).
  - rewrite sum_changed by auto. ring.
  - intros i _. rewrite preactivation_weight by auto. rewrite update_other by congruence.
    destruct (Nat.eq_dec i j) as [->|N]; [ring|]. rewrite Rplus_0_r. ring.
Qed.

Lemma along_output : forall j t, (j < m)%nat ->
  along (fun th => network m d th x) theta (Output j) t
  = relu (preactivation d theta j x) * t + (network m d theta x - theta (Output j) * relu (preactivation d theta j x)).
Proof.
  intros j t J. unfold along, network.
  assert (P : forall i, preactivation d (update theta (Output j) t) i x = preactivation d theta i x).
  { reflexivity. }
  rewrite (sum_ext _ _ (fun i => theta (Output i) * relu (preactivation d theta i x) +
    (if Nat.eq_dec i j then (t - theta (Output j)) * relu (preactivation d theta j x) else 0))).
  - rewrite sum_changed by auto. ring.
  - intros i _. rewrite P. destruct (Nat.eq_dec i j) as [->|N].
    + rewrite update_at. ring.
    + rewrite update_other by congruence. ring.
Qed.

(* df/dw_jk = a_j 1[z_j > 0] x_k and df/da_j = relu(z_j); second derivatives vanish. *)
Lemma jet_weight : forall j k, (j < m)%nat -> (k < d)%nat -> off_kinks m d theta x ->
  jet (along (fun th => network m d th x) theta (Weight j k)) (theta (Weight j k))
    (theta (Output j) * step (preactivation d theta j x) * x k) 0.
Proof.
  intros j k J K O.
  eapply jet_ext; [intros; symmetry; apply along_weight; auto|].
  destruct (Req_dec (theta (Output j)) 0) as [E|N].
  { rewrite E. apply jet_ext with (fun _ => network m d theta x); [intros; ring|].
    apply jet_eq with 0 0; try ring. apply jet_const. }
  specialize (O j J N).
  set (z := preactivation d theta j x) in *.
  apply jet_ext with (fun t => (network m d theta x - theta (Output j) * relu z)
     + theta (Output j) * relu (x k * t + (z - theta (Weight j k) * x k))).
  { intros. do 3 f_equal. ring. }
  eapply jet_eq; [| |apply jet_plus; [apply jet_const|apply jet_scal; apply (jet_comp relu); [|apply jet_affine]]].
  3: { replace (x k * theta (Weight j k) + (z - theta (Weight j k) * x k)) with z by ring. apply jet_relu; auto. }
  all: ring.
Qed.

Lemma jet_output : forall j, (j < m)%nat ->
  jet (along (fun th => network m d th x) theta (Output j)) (theta (Output j)) (relu (preactivation d theta j x)) 0.
Proof.
  intros j J. eapply jet_ext; [intros; symmetry; apply along_output; auto|]. apply jet_affine.
Qed.

Lemma smooth_off_kinks : off_kinks m d theta x -> twice_differentiable (parameters m d) (fun th => network m d th x) theta.
Proof.
  intros O p P. apply in_parameters in P. destruct p as [j k|j].
  - do 2 eexists. apply jet_weight; tauto.
  - do 2 eexists. apply jet_output; auto.
Qed.

Lemma off_kinks_smooth : (exists k, (k < d)%nat /\ x k <> 0) ->
  twice_differentiable (parameters m d) (fun th => network m d th x) theta -> off_kinks m d theta x.
Proof.
  intros (k & K & X) T j J N Z. destruct (T (Weight j k)) as (d1 & d2 & D); [apply in_parameters; auto|].
  apply jet_first in D.
  apply (neuron_kink (theta (Output j)) (x k) (theta (Weight j k))
     (network m d theta x - theta (Output j) * relu (preactivation d theta j x))); auto.
  exists d1. apply is_derive_ext with (2 := D). intros t. rewrite along_weight by auto. rewrite Z, Rplus_0_l. lra.
Qed.

(* wen2023/equation-2: ||grad f||^2 = ||a * 1[z > 0]||^2 ||x||^2 + ||relu(z)||^2. *)
Theorem gradient_norm : off_kinks m d theta x ->
  squared_gradient (parameters m d) (fun th => network m d th x) theta
  = Sum (below m) (fun j => (theta (Output j) * step (preactivation d theta j x)) ^ 2) * squared_norm d x
    + Sum (below m) (fun j => relu (preactivation d theta j x) ^ 2).
Proof.
  intros O. unfold squared_gradient. rewrite sum_parameters. f_equal.
  - unfold squared_norm. rewrite sum_product. apply sum_ext. intros j J. apply sum_ext. intros k K.
    rewrite in_below in *. unfold partial. rewrite (jet_derive _ _ _ _ (jet_weight j k J K O)). ring.
  - apply sum_ext. intros j J. rewrite in_below in J. unfold partial.
    rewrite (jet_derive _ _ _ _ (jet_output j J)). auto.
Qed.
End Derivatives.
