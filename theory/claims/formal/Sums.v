(* Owns finite sums over lists of anything: neurons, coordinates, parameters, samples. *)
From Coq Require Import Reals List Lra Lia Psatz.
Import ListNotations.
Open Scope R_scope.

Fixpoint Sum {A : Type} (l : list A) (f : A -> R) : R :=
  match l with [] => 0 | a :: rest => f a + Sum rest f end.

(* 0, 1, ..., n - 1. *)
Definition below (n : nat) : list nat := seq 0 n.

Lemma in_below : forall n k, In k (below n) <-> (k < n)%nat.
Proof. intros. unfold below. rewrite in_seq. lia. Qed.

Lemma nodup_below : forall n, NoDup (below n).
Proof. intros. apply seq_NoDup. Qed.

Lemma length_below : forall n, length (below n) = n.
Proof. intros. apply seq_length. Qed.

Section Lists.
Context {A : Type}.
Implicit Types (l : list A) (f g : A -> R).

Lemma sum_ext : forall l f g, (forall a, In a l -> f a = g a) -> Sum l f = Sum l g.
Proof.
  induction l; simpl; intros; auto. rewrite (H a) by auto. f_equal. apply IHl. auto.
Qed.

Lemma sum_zero : forall l f, (forall a, In a l -> f a = 0) -> Sum l f = 0.
Proof. induction l; simpl; intros; auto. rewrite (H a), IHl; auto; lra. Qed.

Lemma sum_plus : forall l f g, Sum l (fun a => f a + g a) = Sum l f + Sum l g.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

Lemma sum_minus : forall l f g, Sum l (fun a => f a - g a) = Sum l f - Sum l g.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

Lemma sum_scal : forall l c f, Sum l (fun a => c * f a) = c * Sum l f.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

Lemma sum_scal_r : forall l c f, Sum l (fun a => f a * c) = Sum l f * c.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

Lemma sum_opp : forall l f, Sum l (fun a => - f a) = - Sum l f.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

Lemma sum_const : forall l c, Sum l (fun _ => c) = INR (length l) * c.
Proof. induction l; intros; [simpl; lra|]. simpl Sum. simpl length. rewrite S_INR, IHl. lra. Qed.

Lemma sum_le : forall l f g, (forall a, In a l -> f a <= g a) -> Sum l f <= Sum l g.
Proof.
  induction l; simpl; intros; [lra|]. apply Rplus_le_compat; auto.
Qed.

Lemma sum_nonneg : forall l f, (forall a, In a l -> 0 <= f a) -> 0 <= Sum l f.
Proof. induction l; simpl; intros; [lra|]. apply Rplus_le_le_0_compat; auto. Qed.

Lemma sum_nonneg_zero : forall l f, (forall a, In a l -> 0 <= f a) -> Sum l f = 0 -> forall a, In a l -> f a = 0.
Proof.
  induction l; simpl; intros f H E b I; [tauto|].
  assert (0 <= f a) by auto. assert (0 <= Sum l f) by (apply sum_nonneg; auto).
  destruct I as [->|I]; [lra|]. apply IHl; auto; lra.
Qed.

Lemma sum_term_le : forall l f a, (forall b, In b l -> 0 <= f b) -> In a l -> f a <= Sum l f.
Proof.
  induction l; simpl; intros f b H I; [tauto|].
  assert (0 <= f a) by auto. assert (0 <= Sum l f) by (apply sum_nonneg; auto).
  destruct I as [->|I]; [lra|]. assert (f b <= Sum l f) by (apply IHl; auto). lra.
Qed.

Lemma sum_abs : forall l f, Rabs (Sum l f) <= Sum l (fun a => Rabs (f a)).
Proof.
  induction l; simpl; intros; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat_l. auto.
Qed.

Lemma sum_app : forall l l' f, Sum (l ++ l') f = Sum l f + Sum l' f.
Proof. induction l; simpl; intros; [lra|]. rewrite IHl; lra. Qed.

(* A term alone. *)
Lemma sum_single : forall l f a, NoDup l -> In a l -> (forall b, In b l -> b <> a -> f b = 0) -> Sum l f = f a.
Proof.
  induction l; simpl; intros f b N I H; [tauto|]. inversion N; subst.
  destruct I as [->|I].
  - rewrite sum_zero; [lra|]. intros c Ic. apply H; auto. intros ->; auto.
  - rewrite (IHl f b); auto. rewrite (H a); auto; [lra|]. intros ->; auto.
Qed.

(* Cauchy-Schwarz. *)
Lemma cauchy : forall l f g, Sum l (fun a => f a * g a) ^ 2 <= Sum l (fun a => f a ^ 2) * Sum l (fun a => g a ^ 2).
Proof.
  intros l f g.
  set (p := Sum l (fun a => f a ^ 2)). set (q := Sum l (fun a => g a ^ 2)). set (s := Sum l (fun a => f a * g a)).
  assert (Hp : 0 <= p) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (Hq : 0 <= q) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (K : forall t, 0 <= p * t ^ 2 - 2 * s * t + q).
  { intros t. replace (p * t ^ 2 - 2 * s * t + q) with (Sum l (fun a => (f a * t - g a) ^ 2)).
    - apply sum_nonneg; intros; apply pow2_ge_0.
    - rewrite (sum_ext _ _ (fun a => (f a ^ 2) * t ^ 2 + ((f a * g a) * (- 2 * t) + g a ^ 2))) by (intros; ring).
      rewrite !sum_plus, !sum_scal_r. unfold p, q, s. ring. }
  destruct (Req_dec p 0) as [E|E].
  - rewrite E in *. destruct (Req_dec s 0) as [->|N]; [lra|].
    pose proof (K ((q + 1) / s)) as H. replace (2 * s * ((q + 1) / s)) with (2 * (q + 1)) in H by (field; auto). lra.
  - assert (0 < p) by lra. pose proof (K (s / p)).
    replace (p * (s / p) ^ 2 - 2 * s * (s / p) + q) with ((p * q - s ^ 2) / p) in H0 by (field; auto).
    assert (0 <= p * q - s ^ 2); [|lra].
    replace (p * q - s ^ 2) with (p * ((p * q - s ^ 2) / p)) by (field; auto). apply Rmult_le_pos; lra.
Qed.

Lemma sum_square_le : forall l f, Sum l f ^ 2 <= INR (length l) * Sum l (fun a => f a ^ 2).
Proof.
  intros. pose proof (cauchy l (fun _ => 1) f) as H.
  rewrite (sum_ext _ (fun a => 1 * f a) f) in H by (intros; ring).
  rewrite (sum_ext _ (fun _ => 1 ^ 2) (fun _ => 1)) in H by (intros; ring).
  rewrite sum_const, Rmult_1_r in H. exact H.
Qed.

End Lists.

Lemma sum_map : forall {A B : Type} (l : list A) (h : A -> B) f, Sum (map h l) f = Sum l (fun a => f (h a)).
Proof. induction l; simpl; intros; auto. rewrite IHl; auto. Qed.

Lemma sum_flat_map : forall {A B : Type} (l : list A) (h : A -> list B) f,
  Sum (flat_map h l) f = Sum l (fun a => Sum (h a) f).
Proof. induction l; simpl; intros; auto. rewrite sum_app, IHl; auto. Qed.

Lemma sum_swap : forall {A B : Type} (l : list A) (l' : list B) (f : A -> B -> R),
  Sum l (fun a => Sum l' (f a)) = Sum l' (fun b => Sum l (fun a => f a b)).
Proof.
  induction l; simpl; intros; [rewrite sum_zero; auto|]. rewrite IHl, <- sum_plus. auto.
Qed.

Lemma sum_below_S : forall n f, Sum (below (S n)) f = Sum (below n) f + f n.
Proof. intros. unfold below. rewrite seq_S, sum_app. simpl. lra. Qed.

(* A product of sums. *)
Lemma sum_product : forall {A B : Type} (l : list A) (l' : list B) f g,
  Sum l f * Sum l' g = Sum l (fun a => Sum l' (fun b => f a * g b)).
Proof.
  intros. rewrite <- sum_scal_r. apply sum_ext. intros. rewrite sum_scal. auto.
Qed.

(* One term changed. *)
Lemma sum_changed : forall m (g : nat -> R) j c, (j < m)%nat ->
  Sum (below m) (fun i => g i + (if Nat.eq_dec i j then c else 0)) = Sum (below m) g + c.
Proof.
  intros. rewrite sum_plus. f_equal. rewrite (sum_single _ _ j).
  - destruct (Nat.eq_dec j j); congruence.
  - apply nodup_below.
  - apply in_below; auto.
  - intros i _ N. destruct (Nat.eq_dec i j); congruence.
Qed.
