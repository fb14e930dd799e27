(* Owns small counterexamples to what neighbouring papers say: vardhan2026/symmetries, lyu2022/scale-invariance and wu2023/sgd-trace. *)
From Coq Require Import Reals List Lra Lia Psatz Arith.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer.
Import ListNotations.
Open Scope R_scope.

(* --- vardhan2026/symmetries: one sample x = y = 1, no bias ------------------------------------------------------------------------------ *)

Definition one_point : list (point * R) := [((fun _ => 1), 1)].
Definition interpolator (m : nat) (theta : parameter -> R) : Prop :=
  smooth_on (parameters m 1) (network m 1) one_point theta /\ interpolates (network m 1) one_point theta.
Definition trace_of (m : nat) (theta : parameter -> R) : R := trace (parameters m 1) (mse (network m 1) one_point) theta.

(* w = alpha, a = 1/alpha *)
Definition balanced_by (alpha : R) (p : parameter) : R := match p with Weight _ _ => alpha | Output _ => / alpha end.

Lemma one_norm : squared_norm 1 (fun _ => 1) = 1.
Proof. unfold squared_norm. simpl. ring. Qed.

Lemma trace_of_gradient : forall m theta, interpolator m theta ->
  trace_of m theta = 2 * squared_gradient (parameters m 1) (fun th => network m 1 th (fun _ => 1)) theta.
Proof.
  intros m theta [S I]. unfold trace_of. rewrite trace_at_interpolation by auto. unfold one_point. cbn [length INR Sum fst]. field.
Qed.

(* The interpolator w = a = 1 has trace 4, its rescalings 4 + 2 (alpha - 1/alpha)^2, and none of any width has less: nothing makes it flatter. *)
Theorem flattest_by_no_symmetry :
  (forall alpha, 0 < alpha -> interpolator 1 (balanced_by alpha) /\ trace_of 1 (balanced_by alpha) = 4 + 2 * (alpha - / alpha) ^ 2)
  /\ forall m theta, interpolator m theta -> trace_of 1 (balanced_by 1) = 4 /\ 4 <= trace_of m theta.
Proof.
  assert (One : forall alpha, 0 < alpha -> interpolator 1 (balanced_by alpha) /\ trace_of 1 (balanced_by alpha) = 4 + 2 * (alpha - / alpha) ^ 2).
  { intros alpha P. assert (I := Rinv_0_lt_compat _ P).
    assert (Pre : preactivation 1 (balanced_by alpha) 0 (fun _ => 1) = alpha).
    { unfold preactivation, dot. cbn [below seq Sum balanced_by]. ring. }
    assert (Off : off_kinks 1 1 (balanced_by alpha) (fun _ => 1)) by (intros j J _; replace j with 0%nat by lia; rewrite Pre; lra).
    assert (F : interpolator 1 (balanced_by alpha)).
    { split; intros s [<-|[]]; cbn [fst snd]; [apply smooth_off_kinks; auto|].
      unfold network. cbn [below seq Sum]. rewrite Pre, relu_pos by lra. cbn [balanced_by]. field. lra. }
    split; [exact F|]. rewrite trace_of_gradient, gradient_norm, one_norm by auto. cbn [below seq Sum]. rewrite Pre, relu_pos by lra.
    unfold step. destruct (Rlt_dec 0 alpha); [|lra]. cbn [balanced_by]. field. lra. }
  split; [exact One|]. intros m theta F. split; [destruct (One 1 Rlt_0_1) as [_ ->]; rewrite Rinv_1; ring|].
  rewrite trace_of_gradient by auto. destruct F as [S I].
  assert (Off : off_kinks m 1 theta (fun _ => 1)).
  { apply off_kinks_smooth; [exists 0%nat; split; [lia|lra]|]. apply (S ((fun _ => 1), 1)). left. auto. }
  pose proof (gradient_lower_bound m 1 theta (fun _ => 1) Off) as G. unfold norm in G. rewrite one_norm, sqrt_1 in G.
  assert (Y : network m 1 theta (fun _ => 1) = 1) by (apply (I ((fun _ => 1), 1)); left; auto). rewrite Y, Rabs_R1 in G. lra.
Qed.

(* --- lyu2022/scale-invariance ------------------------------------------------------------------------------------------------------------ *)

(* (z_i - mean) / sqrt(variance + eps) over a batch. *)
Definition mean (batch : list R) : R := / INR (length batch) * Sum batch (fun z => z).
Definition variance (batch : list R) : R := / INR (length batch) * Sum batch (fun z => (z - mean batch) ^ 2).
Definition batch_normalized (eps : R) (batch : list R) (z : R) : R := (z - mean batch) / sqrt (variance batch + eps).

Lemma mean_scaled : forall c batch, mean (map (Rmult c) batch) = c * mean batch.
Proof. intros. unfold mean. rewrite map_length, sum_map, sum_scal. ring. Qed.

Lemma variance_scaled : forall c batch, variance (map (Rmult c) batch) = c ^ 2 * variance batch.
Proof.
  intros. unfold variance. rewrite map_length, sum_map, mean_scaled.
  rewrite (sum_ext _ _ (fun z => c ^ 2 * (z - mean batch) ^ 2)) by (intros; ring). rewrite sum_scal. ring.
Qed.

Lemma variance_nonneg : forall batch, 0 <= variance batch.
Proof.
  intros [|z l]; [unfold variance; simpl; lra|]. apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, lt_0_INR; simpl; lia|].
  apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

(* As corrected: weights times c are a floor divided by c^2, and without a floor nothing. *)
Theorem normalized_scaled : forall eps c batch z, 0 < c -> 0 <= eps -> 0 < variance batch + eps / c ^ 2 ->
  batch_normalized eps (map (Rmult c) batch) (c * z) = batch_normalized (eps / c ^ 2) batch z
  /\ (eps = 0 -> batch_normalized eps (map (Rmult c) batch) (c * z) = batch_normalized eps batch z).
Proof.
  intros eps c batch z C E V.
  assert (H : batch_normalized eps (map (Rmult c) batch) (c * z) = batch_normalized (eps / c ^ 2) batch z).
  { unfold batch_normalized. rewrite mean_scaled, variance_scaled.
    replace (c ^ 2 * variance batch + eps) with (c * c * (variance batch + eps / c ^ 2)) by (field; lra).
    rewrite sqrt_mult_alt, sqrt_square by nra. pose proof (sqrt_lt_R0 _ V). field. split; lra. }
  split; [exact H|]. intros ->. rewrite H. unfold Rdiv. rewrite Rmult_0_l. auto.
Qed.

(* As printed it fails where there is a floor: the batch (w, -w), eps = 1, at w = 1 and 2. *)
Theorem floor_refutes : batch_normalized 1 [1; - 1] 1 = / sqrt 2 /\ batch_normalized 1 [2; - 2] 2 = 2 / sqrt 5 /\ / sqrt 2 < 2 / sqrt 5.
Proof.
  assert (S2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra). assert (S5 : 0 < sqrt 5) by (apply sqrt_lt_R0; lra).
  assert (Q2 : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra). assert (Q5 : sqrt 5 * sqrt 5 = 5) by (apply sqrt_sqrt; lra).
  split; [|split].
  - unfold batch_normalized, variance, mean. cbn [length INR Sum].
    match goal with |- _ / sqrt ?v = _ => replace v with 2 by field end. field. lra.
  - unfold batch_normalized, variance, mean. cbn [length INR Sum].
    match goal with |- _ / sqrt ?v = _ => replace v with 5 by field end. field. lra.
  - apply Rmult_lt_reg_r with (sqrt 2 * sqrt 5); [apply Rmult_lt_0_compat; auto|].
    replace (/ sqrt 2 * (sqrt 2 * sqrt 5)) with (sqrt 5) by (field; lra). replace (2 / sqrt 5 * (sqrt 2 * sqrt 5)) with (2 * sqrt 2) by (field; lra). nra.
Qed.

(* --- wu2023/sgd-trace: two samples a step --------------------------------------------------------------------------------------------------- *)

(* A step on samples of gradients g, g', the mean of ||theta_t||^2 over all ways to draw t of these pairs, and its boundedness from every start. *)
Definition sgd_step (d : nat) (eta : R) (draw : point * point) (theta : point) : point :=
  fun k => theta k - eta * ((dot d (fst draw) theta * fst draw k + dot d (snd draw) theta * snd draw k) / 2).
Fixpoint mean_square (d : nat) (eta : R) (draws : list (point * point)) (t : nat) (theta : point) : R :=
  match t with
  | O => squared_norm d theta
  | S t => / INR (length draws) * Sum draws (fun draw => mean_square d eta draws t (sgd_step d eta draw theta))
  end.
Definition linearly_stable (d : nat) (eta : R) (draws : list (point * point)) : Prop :=
  forall theta, exists bound, forall t, mean_square d eta draws t theta <= bound.

(* With replacement every pair, without the two orders; tr H of H = mean g g'. *)
Definition trace_of_mean (d : nat) (gs : list point) : R := / INR (length gs) * Sum gs (squared_norm d).
Definition axis (i : nat) : point := fun k => if (k =? i)%nat then sqrt 2 else 0.

Lemma factor_stable : forall d eta draws factor, 0 <= factor <= 1 ->
  (forall theta, / INR (length draws) * Sum draws (fun draw => squared_norm d (sgd_step d eta draw theta)) = factor * squared_norm d theta) ->
  linearly_stable d eta draws.
Proof.
  intros d eta draws factor [F0 F1] H theta. exists (squared_norm d theta). intros t.
  assert (E : forall theta, mean_square d eta draws t theta = factor ^ t * squared_norm d theta).
  { clear theta. induction t as [|t IH]; intros theta; [simpl; ring|]. cbn [mean_square].
    rewrite (sum_ext _ _ (fun draw => factor ^ t * squared_norm d (sgd_step d eta draw theta))) by (intros; apply IH).
    rewrite sum_scal. transitivity (factor ^ t * (/ INR (length draws) * Sum draws (fun draw => squared_norm d (sgd_step d eta draw theta)))); [ring|].
    rewrite H. simpl. ring. }
  rewrite E. pose proof (squared_norm_nonneg d theta). assert (0 <= factor ^ t <= 1); [|nra].
  split; [apply pow_le; auto|]. rewrite <- (pow1 t). apply pow_incr. auto.
Qed.

(* g_1 = sqrt(2) e_1, g_2 = sqrt(2) e_2, eta = 4/3: stable, with replacement or without, though tr H = 2 > 2/eta = 3/2. *)
Theorem two_samples_refute : let gs := [axis 0; axis 1] in
  linearly_stable 2 (4 / 3) (list_prod gs gs) /\ linearly_stable 2 (4 / 3) [(axis 0, axis 1); (axis 1, axis 0)]
  /\ trace_of_mean 2 gs = 2 /\ 2 / (4 / 3) = 3 / 2.
Proof.
  intros gs. assert (Q : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra).
  assert (Q2 : sqrt 2 ^ 2 = 2) by (simpl; rewrite Rmult_1_r; auto).
  assert (S0 : forall theta, dot 2 (axis 0) theta = sqrt 2 * theta 0%nat) by (intros; unfold dot, axis; simpl; ring).
  assert (S1 : forall theta, dot 2 (axis 1) theta = sqrt 2 * theta 1%nat) by (intros; unfold dot, axis; simpl; ring).
  assert (T : forall x, sqrt 2 * x * sqrt 2 = 2 * x) by (intros; transitivity (sqrt 2 * sqrt 2 * x); [ring|rewrite Q; ring]).
  assert (P : forall a b theta k, (a = 0 \/ a = 1)%nat -> (b = 0 \/ b = 1)%nat -> (k = 0 \/ k = 1)%nat ->
    sgd_step 2 (4 / 3) (axis a, axis b) theta k = (1 - 4 / 3 * ((if (k =? a)%nat then 1 else 0) + (if (k =? b)%nat then 1 else 0))) * theta k).
  { intros a b theta k A B K. unfold sgd_step. cbn [fst snd].
    destruct A as [->| ->], B as [->| ->], K as [->| ->]; rewrite ?S0, ?S1; unfold axis; cbn [Nat.eqb]; rewrite ?T, ?Rmult_0_r; field. }
  split; [|split; [|split]].
  - apply (factor_stable 2 (4 / 3) _ 1); [lra|]. intros theta. unfold gs, list_prod. cbn [map app length INR Sum]. unfold squared_norm. cbn [below seq Sum].
    rewrite !P by auto. cbn [Nat.eqb]. field.
  - apply (factor_stable 2 (4 / 3) _ (1 / 9)); [lra|]. intros theta. cbn [length INR Sum]. unfold squared_norm. cbn [below seq Sum].
    rewrite !P by auto. cbn [Nat.eqb]. field.
  - unfold trace_of_mean, gs, squared_norm, axis. cbn [length INR Sum below seq Nat.eqb]. rewrite Q2. field.
  - field.
Qed.
