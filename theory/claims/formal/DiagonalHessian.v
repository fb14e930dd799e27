(* Owns andriushchenko2023/diag-1 and what of own/diagonal-3 is off interpolation: every second derivative of a diagonal network's loss. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks Diagonal.
Import ListNotations.
Open Scope R_scope.

(* d/dp d/dq g. *)
Definition mixed {A} `{Indexed A} (g : (A -> R) -> R) (w : A -> R) (p q : A) : R := Derive (fun t => partial g (update w p t) q) (w p).

Section Hessian.
Variables (kappa : R) (d : nat) (data : list (point * R)).
Let loss := diagonal_loss kappa d data.
Let Sigma := covariance data.

Lemma partial_loss : forall w q, In q (weights d) -> partial loss w q
  = kappa * (/ INR (length data) * Sum data (fun s => 2 * (diagonal d w (fst s) - snd s) * (w (partner q) * fst s (coordinate q)))).
Proof.
  intros w q Q. unfold partial. apply jet_derive with (d2 := kappa * (/ INR (length data) * Sum data (fun s => 2 * (w (partner q) * fst s (coordinate q)) ^ 2))).
  unfold along, loss, diagonal_loss, mse. apply jet_scal. apply jet_scal.
  apply (jet_sum data (fun s t => (diagonal d (update w q t) (fst s) - snd s) ^ 2)). intros s _.
  assert (J := jet_diagonal d w q (fst s) Q).
  assert (K : jet (fun t => along (fun w' => diagonal d w' (fst s)) w q t - snd s) (w q) (w (partner q) * fst s (coordinate q)) 0).
  { apply jet_eq with (w (partner q) * fst s (coordinate q) + 0) (0 + 0); try ring.
    apply jet_ext with (fun t => along (fun w' => diagonal d w' (fst s)) w q t + - snd s); [intros; ring|].
    apply jet_plus; auto. apply jet_const. }
  assert (C := jet_comp (fun v => v ^ 2) _ _ _ _ _ _ (jet_square _) K).
  eapply jet_eq; [| |exact C]; cbv beta; rewrite ?along_self; ring.
Qed.

(* own/diagonal-3: 2 kappa Sigma_ij times the partners, and, between u_i and v_i, 2 kappa g_i. *)
Theorem diagonal_hessian_anywhere : forall w p q, In p (weights d) -> In q (weights d) -> mixed loss w p q
  = 2 * kappa * Sigma (coordinate p) (coordinate q) * (w (partner p) * w (partner q))
    + (if same (partner q) p then 2 * kappa * (/ INR (length data) * Sum data (fun s => (diagonal d w (fst s) - snd s) * fst s (coordinate q))) else 0).
Proof.
  intros w p q P Q. unfold mixed. apply is_derive_unique.
  set (e := if same (partner q) p then 1 else 0).
  assert (F : forall t : R, kappa * (/ INR (length data) * Sum data (fun s =>
      2 * ((w (partner p) * fst s (coordinate p)) * t + (diagonal d w (fst s) - snd s - w p * (w (partner p) * fst s (coordinate p))))
        * ((e * t + (w (partner q) - e * w p)) * fst s (coordinate q)))) = partial loss (update w p t) q).
  { intros t. rewrite partial_loss by auto. f_equal. f_equal. apply sum_ext. intros s _. rewrite diagonal_update by auto.
    assert (E : update w p t (partner q) = e * t + (w (partner q) - e * w p)).
    { unfold update, e. destruct (same (partner q) p) as [<-|]; ring. }
    rewrite E. ring. }
  apply is_derive_ext with (1 := F).
  replace (2 * kappa * Sigma (coordinate p) (coordinate q) * (w (partner p) * w (partner q)) + _)
    with (kappa * (/ INR (length data) * Sum data (fun s =>
      2 * (w (partner p) * fst s (coordinate p)) * (w (partner q) * fst s (coordinate q))
      + 2 * (diagonal d w (fst s) - snd s) * (e * fst s (coordinate q))))).
  2: { unfold Sigma, covariance, e. rewrite sum_plus.
       rewrite (sum_ext data (fun s => 2 * (w (partner p) * _) * _) (fun s => 2 * (w (partner p) * w (partner q)) * (fst s (coordinate p) * fst s (coordinate q))))
         by (intros; ring).
       rewrite sum_scal. destruct (same (partner q) p).
       - rewrite (sum_ext data (fun s => 2 * (_ - _) * _) (fun s => 2 * ((diagonal d w (fst s) - snd s) * fst s (coordinate q)))) by (intros; ring).
         rewrite sum_scal. ring.
       - rewrite (sum_zero data (fun s => 2 * (_ - _) * _)) by (intros; ring). ring. }
  apply is_derive_scal. apply is_derive_scal. clear F.
  induction data as [|s l IH]; cbn [Sum].
  - apply @is_derive_const.
  - apply @is_derive_plus; [|exact IH]. auto_derive; auto. ring.
Qed.

(* andriushchenko2023/diag-1: at interpolation H = 2 kappa [[V Sigma V, V Sigma U], [U Sigma V, U Sigma U]]. *)
Theorem diagonal_hessian : forall w, (forall s, In s data -> diagonal d w (fst s) = snd s) -> forall i j, (i < d)%nat -> (j < d)%nat ->
  mixed loss w (U i) (U j) = 2 * kappa * (w (V i) * Sigma i j * w (V j)) /\ mixed loss w (U i) (V j) = 2 * kappa * (w (V i) * Sigma i j * w (U j))
  /\ mixed loss w (V i) (U j) = 2 * kappa * (w (U i) * Sigma i j * w (V j)) /\ mixed loss w (V i) (V j) = 2 * kappa * (w (U i) * Sigma i j * w (U j)).
Proof.
  intros w H i j Li Lj.
  assert (Z : forall k, Sum data (fun s => (diagonal d w (fst s) - snd s) * fst s k) = 0).
  { intros k. apply sum_zero. intros s I. rewrite (H s I). ring. }
  assert (E : forall p q, In p (weights d) -> In q (weights d) ->
     mixed loss w p q = 2 * kappa * (w (partner p) * Sigma (coordinate p) (coordinate q) * w (partner q))).
  { intros p q P Q. rewrite diagonal_hessian_anywhere by auto. rewrite Z. destruct (same (partner q) p); ring. }
  repeat split; apply E; apply in_weights; auto.
Qed.
End Hessian.
