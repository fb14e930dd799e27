(* Owns that Keskar's metric is unbounded under rescaling of the layers of a ReLU network: own/rescaling-1, and of own/diagonal-7 the last
   sentence. keskar2017/metric-2.1 with A = I: C = {z : |z_p| <= eps (|theta_p| + 1)}, phi = 100 (max over C of L(theta + z) - L(theta)) /
   (1 + L(theta)). *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks.
Import ListNotations.
Open Scope R_scope.

Section Metric.
Context {A : Type}.

Definition in_box (eps : R) (theta z : A -> R) : Prop := forall p, Rabs (z p) <= eps * (Rabs (theta p) + 1).

(* What the metric is the supremum of. *)
Definition reached (eps : R) (loss : (A -> R) -> R) (theta : A -> R) (v : R) : Prop :=
  exists z, in_box eps theta z /\ v = 100 * (loss (fun p => theta p + z p) - loss theta) / (1 + loss theta).
Definition keskar (eps : R) (loss : (A -> R) -> R) (theta : A -> R) (phi : R) : Prop := is_lub (reached eps loss theta) phi.
End Metric.

(* W1 -> alpha W1, W2 -> W2 / alpha. *)
Definition rescaled (alpha : R) (theta : parameter -> R) (p : parameter) : R :=
  match p with Weight j k => alpha * theta (Weight j k) | Output j => theta (Output j) / alpha end.

Lemma rescaled_preactivation : forall d alpha theta j x,
  preactivation d (rescaled alpha theta) j x = alpha * preactivation d theta j x.
Proof. intros. unfold preactivation, dot. rewrite <- sum_scal. apply sum_ext. intros. simpl. ring. Qed.

Lemma rescaled_network : forall m d alpha theta x, 0 < alpha -> network m d (rescaled alpha theta) x = network m d theta x.
Proof.
  intros. apply sum_ext. intros j _. rewrite rescaled_preactivation, relu_scal by lra. simpl. field. lra.
Qed.

Lemma rescaled_mse : forall m d alpha theta data, 0 < alpha ->
  mse (network m d) data (rescaled alpha theta) = mse (network m d) data theta.
Proof. intros. unfold mse. f_equal. apply sum_ext. intros. rewrite rescaled_network; auto. Qed.

Lemma mse_nonneg : forall m d data theta, 0 <= mse (network m d) data theta.
Proof.
  intros. unfold mse. destruct data as [|s l]; [simpl; lra|].
  apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, lt_0_INR; simpl; lia|]. apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

(* eps in the place of one output weight. *)
Definition bump (eps : R) (i : nat) (p : parameter) : R := if same p (Output i) then eps else 0.

Lemma bumped_network : forall m d theta eps i x, (i < m)%nat ->
  network m d (fun p => theta p + bump eps i p) x = network m d theta x + eps * relu (preactivation d theta i x).
Proof.
  intros m d theta eps i x I. unfold network.
  rewrite <- (sum_changed m (fun j => theta (Output j) * relu (preactivation d theta j x)) i) by auto.
  apply sum_ext. intros j _.
  assert (P : preactivation d (fun p => theta p + bump eps i p) j x = preactivation d theta j x).
  { apply sum_ext. intros k _. unfold bump. destruct (same (Weight j k) (Output i)); [discriminate|]. ring. }
  rewrite P. unfold bump. destruct (same (Output j) (Output i)) as [E|N], (Nat.eq_dec j i) as [E'|N']; try congruence.
  - rewrite E'. ring.
  - ring.
Qed.

(* own/rescaling-1: where some neuron is active at some sample, the metric at the rescaled network is above every bound for large alpha,
   and the network is the same function. Any width, data and network; mean squared error. *)
Theorem keskar_unbounded : forall m d theta data eps, 0 < eps ->
  (exists j s, (j < m)%nat /\ In s data /\ 0 < preactivation d theta j (fst s)) ->
  forall bound, exists alpha, 0 < alpha /\ (forall x, network m d (rescaled alpha theta) x = network m d theta x)
    /\ (exists v, reached eps (mse (network m d) data) (rescaled alpha theta) v /\ bound < v)
    /\ forall phi, keskar eps (mse (network m d) data) (rescaled alpha theta) phi -> bound < phi.
Proof.
  intros m d theta data eps E (j & s & J & Is & Pos) bound.
  set (L := mse (network m d) data theta). assert (L0 : 0 <= L) by apply mse_nonneg.
  set (h := preactivation d theta j (fst s)) in *. set (r := network m d theta (fst s) - snd s).
  assert (Pn : 0 < INR (length data)) by (apply lt_0_INR; destruct data; [destruct Is|simpl; lia]).
  set (M := 1 + INR (length data) * (L + (Rabs bound + 1) * (1 + L))).
  assert (B0 := Rabs_pos bound).
  assert (M1 : 1 <= M) by (unfold M; assert (0 <= INR (length data) * (L + (Rabs bound + 1) * (1 + L))) by (apply Rmult_le_pos; nra); lra).
  set (alpha := (Rabs r + M) / (eps * h)).
  assert (Eh : 0 < eps * h) by (apply Rmult_lt_0_compat; auto).
  pose proof (Rabs_pos r) as R0.
  assert (Al : 0 < alpha) by (apply Rdiv_lt_0_compat; lra).
  assert (Moved : M <= INR (length data) * mse (network m d) data (fun p => rescaled alpha theta p + bump eps j p)).
  { unfold mse. rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l by lra.
    apply Rle_trans with ((network m d (fun p => rescaled alpha theta p + bump eps j p) (fst s) - snd s) ^ 2).
    - rewrite bumped_network, rescaled_network, rescaled_preactivation, relu_scal, (relu_pos (preactivation d theta j (fst s))) by
        (auto; fold h; lra).
      fold h. replace (network m d theta (fst s) + eps * (alpha * h) - snd s) with (r + (Rabs r + M)).
      + assert (- Rabs r <= r) by (unfold Rabs; destruct (Rcase_abs r); lra). nra.
      + unfold r at 1, alpha. field. split; lra.
    - apply (sum_term_le data (fun s => (network m d (fun p => rescaled alpha theta p + bump eps j p) (fst s) - snd s) ^ 2)); auto.
      intros. apply pow2_ge_0. }
  assert (Big : L + (Rabs bound + 1) * (1 + L) < mse (network m d) data (fun p => rescaled alpha theta p + bump eps j p)).
  { apply Rmult_lt_reg_l with (INR (length data)); auto. unfold M in Moved. lra. }
  assert (R : exists v, reached eps (mse (network m d) data) (rescaled alpha theta) v /\ bound < v).
  { eexists. split.
    - exists (bump eps j). split; [|reflexivity]. intros p. unfold bump. pose proof (Rabs_pos (rescaled alpha theta p)).
      destruct (same p (Output j)); [rewrite Rabs_pos_eq by lra; nra|rewrite Rabs_R0; nra].
    - rewrite rescaled_mse by auto. fold L. apply Rmult_lt_reg_r with (1 + L); [lra|].
      set (L' := mse (network m d) data (fun p => rescaled alpha theta p + bump eps j p)) in *. replace (100 * (L' - L) / (1 + L) * (1 + L)) with (100 * (L' - L)) by (field; lra).
      assert (bound * (1 + L) <= Rabs bound * (1 + L)) by (apply Rmult_le_compat_r; [lra|apply Rle_abs]).
      assert (0 <= Rabs bound * (1 + L)) by (apply Rmult_le_pos; lra). lra. }
  exists alpha. split; [auto|split; [intros; apply rescaled_network; auto|split; [exact R|]]].
  intros phi [U _]. destruct R as (v & V & Bv). specialize (U v V). lra.
Qed.

(* own/diagonal-7, of one coordinate with x = 1, eps = 1: max (a v + u b + a b)^2 over |a| <= |u| + 1, |b| <= |v| + 1 is 64 at
   (u, v) = (1, 1) and 81 at (2, 1/2). *)
Theorem keskar_not_invariant : let reach u v a b := (a * v + u * b + a * b) ^ 2 in
  let box u v a b := Rabs a <= Rabs u + 1 /\ Rabs b <= Rabs v + 1 in
  (forall a b, box 1 1 a b -> reach 1 1 a b <= 64) /\ (box 1 1 2 2 /\ reach 1 1 2 2 = 64)
  /\ (forall a b, box 2 (1 / 2) a b -> reach 2 (1 / 2) a b <= 81) /\ (box 2 (1 / 2) 3 (3 / 2) /\ reach 2 (1 / 2) 3 (3 / 2) = 81)
  /\ 1 * 1 = 2 * (1 / 2).
Proof.
  assert (P : forall a c, Rabs a <= c -> - c <= a <= c) by (intros a c H; unfold Rabs in H; destruct (Rcase_abs a); lra).
  intros reach box. unfold reach, box. rewrite (Rabs_pos_eq 1), (Rabs_pos_eq 2), (Rabs_pos_eq (1 / 2)), (Rabs_pos_eq 3), (Rabs_pos_eq (3 / 2)) by lra.
  split; [|split; [|split; [|split]]].
  - intros a b [HA HB]. apply P in HA. apply P in HB. assert (- 8 <= a * 1 + 1 * b + a * b <= 8) by (split; nra). nra.
  - split; [lra|field].
  - intros a b [HA HB]. apply P in HA. apply P in HB. assert (- 9 <= a * (1 / 2) + 2 * b + a * b <= 9) by (split; nra). nra.
  - split; [lra|field].
  - field.
Qed.
