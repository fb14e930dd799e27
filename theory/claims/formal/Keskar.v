(* Owns that Keskar's metric is unbounded under rescaling of the layers of a ReLU network: own/rescaling-1, of own/diagonal-7 the last
   sentence, and against keskar2017/sharp-minima a sharp network that is right beside a flat one that is wrong. keskar2017/metric-2.1 with A = I: C = {z : |z_p| <= eps (|theta_p| + 1)}, phi = 100 (max over C of L(theta + z) - L(theta)) /
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

(* --- keskar2017/sharp-minima ------------------------------------------------------------------------------------------------------------ *)

(* Of the law of (1, 0) with y = 1 and (0, 1) with y = 0, half each, the first is the training set. *)
Definition unit (i : nat) : point := fun k => if (k =? i)%nat then 1 else 0.
Definition training : list (point * R) := [(unit 0, 1)].
Definition law : list (point * R) := [(unit 0, 1); (unit 1, 0)].

(* A neuron with w = (alpha, c), a = 1/alpha: 1 at (1, 0), relu(c)/alpha at (0, 1). *)
Definition neuron (alpha c : R) (p : parameter) : R :=
  match p with Weight _ 0 => alpha | Weight _ _ => c | Output _ => / alpha end.

Lemma one_neuron : forall theta i, (i < 2)%nat -> network 1 2 theta (unit i) = theta (Output 0) * relu (theta (Weight 0 i)).
Proof.
  intros theta i I. unfold network, preactivation, dot, unit. cbn [below seq Sum].
  destruct i as [|[|i]]; try lia; cbn [Nat.eqb]; rewrite Rplus_0_r; do 2 f_equal; ring.
Qed.

Lemma training_loss : forall theta, mse (network 1 2) training theta = (theta (Output 0) * relu (theta (Weight 0 0)) - 1) ^ 2.
Proof. intros. unfold mse, training. cbn [length INR Sum fst snd]. rewrite one_neuron by lia. field. Qed.

Lemma law_loss : forall theta, mse (network 1 2) law theta
  = ((theta (Output 0) * relu (theta (Weight 0 0)) - 1) ^ 2 + (theta (Output 0) * relu (theta (Weight 0 1))) ^ 2) / 2.
Proof. intros. unfold mse, law. cbn [length INR Sum fst snd]. rewrite !one_neuron by lia. field. Qed.

(* How far the box moves the output at (1, 0). *)
Definition moves (eps alpha : R) : R := (1 + eps * (1 + alpha)) * (1 + eps * (1 + / alpha)) - 1.

(* It fits, its metric is 100 moves², whatever c is, and it is wrong at (0, 1) by relu(c)/alpha. *)
Lemma neuron_metric : forall eps alpha c, 0 < eps -> 0 < alpha ->
  mse (network 1 2) training (neuron alpha c) = 0
  /\ keskar eps (mse (network 1 2) training) (neuron alpha c) (100 * moves eps alpha ^ 2)
  /\ mse (network 1 2) law (neuron alpha c) = (relu c / alpha) ^ 2 / 2
  /\ exists z, in_box eps (neuron alpha c) z /\ mse (network 1 2) training (fun p => neuron alpha c p + z p) = moves eps alpha ^ 2.
Proof.
  intros eps alpha c E P. assert (I := Rinv_0_lt_compat _ P). assert (One : / alpha * alpha = 1) by (field; lra).
  assert (L0 : mse (network 1 2) training (neuron alpha c) = 0).
  { rewrite training_loss. cbn [neuron]. rewrite relu_pos by lra. rewrite One. ring. }
  assert (Far : exists z, in_box eps (neuron alpha c) z /\ mse (network 1 2) training (fun p => neuron alpha c p + z p) = moves eps alpha ^ 2).
  { exists (fun p => eps * (Rabs (neuron alpha c p) + 1)). split.
    - intros p. pose proof (Rabs_pos (neuron alpha c p)). rewrite Rabs_pos_eq; nra.
    - rewrite training_loss. cbn [neuron]. rewrite !Rabs_pos_eq by lra. rewrite relu_pos by nra. unfold moves. f_equal. field. lra. }
  split; [exact L0|split; [split|split; [|exact Far]]].
  - intros v (z & Z & ->). rewrite L0, training_loss. cbn [neuron].
    assert (Zw := Z (Weight 0 0)). assert (Za := Z (Output 0)). cbn [neuron] in Zw, Za. rewrite (Rabs_pos_eq alpha) in Zw by lra.
    rewrite (Rabs_pos_eq (/ alpha)) in Za by lra. set (w := z (Weight 0%nat 0%nat)) in *. set (a := z (Output 0)) in *.
    rewrite Rminus_0_r, Rplus_0_r, Rdiv_1. apply Rmult_le_compat_l; [lra|]. rewrite <- (pow2_abs (_ - 1)). apply pow_incr. split; [apply Rabs_pos|].
    assert (M : moves eps alpha = eps * (alpha + 1) * / alpha + eps * (/ alpha + 1) * alpha + eps * (/ alpha + 1) * (eps * (alpha + 1))).
    { unfold moves. field. lra. }
    rewrite M. pose proof (Rabs_pos w) as W0. pose proof (Rabs_pos a) as A0.
    destruct (Rle_dec 0 (alpha + w)) as [Act|Act].
    + rewrite relu_pos by lra. replace ((/ alpha + a) * (alpha + w) - 1) with (w * / alpha + a * alpha + a * w) by (field; lra).
      eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
      * eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult, (Rabs_pos_eq alpha), (Rabs_pos_eq (/ alpha)) by lra.
        apply Rplus_le_compat; apply Rmult_le_compat_r; lra.
      * rewrite Rabs_mult. apply Rmult_le_compat; lra.
    + rewrite relu_neg by lra. rewrite Rmult_0_r, Rminus_0_l, Rabs_Ropp, Rabs_R1.
      assert (Low : alpha <= eps * (alpha + 1)) by (unfold Rabs in Zw; destruct (Rcase_abs w); lra).
      assert (1 <= eps * (alpha + 1) * / alpha) by (apply Rmult_le_reg_r with alpha; auto; rewrite Rmult_assoc, One; lra).
      assert (0 <= eps * (/ alpha + 1) * alpha) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
      assert (0 <= eps * (/ alpha + 1) * (eps * (alpha + 1))) by (apply Rmult_le_pos; apply Rmult_le_pos; lra). lra.
  - intros b U. destruct Far as (z & Z & V). apply U. exists z. split; [exact Z|]. rewrite V, L0, Rminus_0_r, Rplus_0_r, Rdiv_1. auto.
  - rewrite law_loss. cbn [neuron]. rewrite (relu_pos alpha), One by lra. field. lra.
Qed.

(* keskar2017/sharp-minima fails: for every eps and bound there are two networks that fit the training set. One is right on the whole law,
   though its metric is more than `bound` times the other's, and more than `bound` for the loss on the law; the other's loss on the law is
   more than `bound`. And a third, the same function as the first, is exactly as sharp as the other. *)
Theorem sharp_minima_refuted : forall eps bound, 0 < eps -> exists flat sharp third phi_flat phi_sharp,
  (mse (network 1 2) training flat = 0 /\ mse (network 1 2) training sharp = 0)
  /\ (keskar eps (mse (network 1 2) training) flat phi_flat /\ keskar eps (mse (network 1 2) training) sharp phi_sharp)
  /\ 0 < phi_flat /\ bound * phi_flat < phi_sharp
  /\ bound < mse (network 1 2) law flat /\ mse (network 1 2) law sharp = 0
  /\ (exists v, reached eps (mse (network 1 2) law) sharp v /\ bound < v)
  /\ (keskar eps (mse (network 1 2) training) third phi_flat /\ forall x, network 1 2 third x = network 1 2 sharp x).
Proof.
  intros eps bound E. pose proof (Rabs_pos bound) as B0. pose proof (Rle_abs bound) as B1.
  set (f1 := moves eps 1). assert (F1 : 0 < f1) by (unfold f1, moves; rewrite Rinv_1; nra).
  set (K := Rabs bound * (100 * f1 ^ 2) + Rabs bound + 1). set (alpha := K / eps). set (c := Rabs bound + 2).
  assert (F2 : 0 < f1 ^ 2) by (apply pow_lt; auto).
  assert (K0 : 0 <= Rabs bound * (100 * f1 ^ 2)) by (apply Rmult_le_pos; lra). assert (K1 : 1 <= K) by (unfold K; lra).
  assert (P : 0 < alpha) by (apply Rdiv_lt_0_compat; lra). assert (I := Rinv_0_lt_compat _ P).
  assert (Far : K <= moves eps alpha).
  { unfold moves. replace K with (eps * alpha) by (unfold alpha; field; lra). assert (0 < eps * alpha) by (apply Rmult_lt_0_compat; auto).
    assert (0 < eps * / alpha) by (apply Rmult_lt_0_compat; auto). nra. }
  assert (Sq : K <= moves eps alpha ^ 2) by nra.
  destruct (neuron_metric eps 1 c E Rlt_0_1) as (T1 & M1 & P1 & _).
  destruct (neuron_metric eps alpha 0 E P) as (T2 & M2 & P2 & (z & Z & V)).
  destruct (neuron_metric eps 1 0 E Rlt_0_1) as (_ & M3 & _ & _).
  assert (R0 : relu 0 = 0) by (apply relu_neg; lra).
  assert (Right : mse (network 1 2) law (neuron alpha 0) = 0) by (rewrite P2, R0; field; lra).
  exists (neuron 1 c), (neuron alpha 0), (neuron 1 0), (100 * f1 ^ 2), (100 * moves eps alpha ^ 2).
  split; [auto|split; [auto|split; [lra|split; [|split; [|split; [exact Right|split; [|split; [exact M3|]]]]]]]].
  - assert (bound * (100 * f1 ^ 2) <= Rabs bound * (100 * f1 ^ 2)) by (apply Rmult_le_compat_r; lra). unfold K in Sq. lra.
  - rewrite P1. rewrite relu_pos by (unfold c; lra). unfold c. nra.
  - eexists. split; [exists z; split; [exact Z|reflexivity]|]. rewrite Right.
    assert (H : moves eps alpha ^ 2 / 2 <= mse (network 1 2) law (fun p => neuron alpha 0 p + z p)).
    { rewrite law_loss. rewrite training_loss in V. rewrite V.
      match goal with |- _ <= (_ + ?q ^ 2) / 2 => pose proof (pow2_ge_0 q) end. lra. }
    unfold K in Sq. rewrite Rminus_0_r, Rplus_0_r, Rdiv_1. lra.
  - intros x. rewrite <- (rescaled_network 1 2 alpha (neuron 1 0) x P). unfold network, preactivation. apply sum_ext. intros j _.
    f_equal; [|f_equal; apply sum_ext; intros k _; f_equal]; cbn [rescaled neuron]; [field; lra|destruct k; ring].
Qed.
