(* Owns andriushchenko2023's statements on diagonal linear networks, f(x) = sum_i u_i v_i x_i: the Hessian, its trace, the average case.
   L = (kappa/n) sum_k (f(x_k) - y_k)^2, Sigma_ij = (1/n) sum_k x_ki x_kj; d coordinates and n samples, any numbers. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks.
Import ListNotations.
Open Scope R_scope.

Inductive layer := U (i : nat) | V (i : nat).

#[export] Instance same_layer : Indexed layer.
Proof. unfold Indexed. decide equality; apply Nat.eq_dec. Defined.

Definition weights (d : nat) : list layer := map U (below d) ++ map V (below d).

Definition diagonal (d : nat) (w : layer -> R) (x : point) : R := Sum (below d) (fun i => w (U i) * w (V i) * x i).

Definition covariance (data : list (point * R)) (i j : nat) : R := / INR (length data) * Sum data (fun s => fst s i * fst s j).
Definition diagonal_loss (kappa : R) (d : nat) (data : list (point * R)) (w : layer -> R) : R :=
  kappa * mse (diagonal d) data w.

Lemma sum_weights : forall d g, Sum (weights d) g = Sum (below d) (fun i => g (U i)) + Sum (below d) (fun i => g (V i)).
Proof. intros. unfold weights. rewrite sum_app, !sum_map. auto. Qed.

Lemma in_weights : forall d p, In p (weights d) <-> match p with U i => (i < d)%nat | V i => (i < d)%nat end.
Proof.
  intros. unfold weights. rewrite in_app_iff, !in_map_iff. split.
  - intros [(i & <- & I)|(i & <- & I)]; apply in_below; auto.
  - destruct p as [i|i]; intros L; [left|right]; exists i; split; auto; apply in_below; auto.
Qed.

(* The factor that meets a weight, and its coordinate. *)
Definition partner (p : layer) : layer := match p with U i => V i | V i => U i end.
Definition coordinate (p : layer) : nat := match p with U i | V i => i end.

Lemma diagonal_update : forall d w p t x, In p (weights d) ->
  diagonal d (update w p t) x = diagonal d w x + (t - w p) * (w (partner p) * x (coordinate p)).
Proof.
  intros d w p t x P. apply in_weights in P. unfold diagonal.
  assert (L : (coordinate p < d)%nat) by (destruct p; auto).
  rewrite <- (sum_changed d (fun i => w (U i) * w (V i) * x i) (coordinate p)) by auto.
  apply sum_ext. intros i _. unfold update.
  destruct p as [k|k]; cbn [coordinate partner]; destruct (Nat.eq_dec i k) as [->|N];
  repeat match goal with |- context [same ?a ?b] => destruct (same a b); try congruence end; ring.
Qed.

Lemma jet_diagonal : forall d w p x, In p (weights d) ->
  jet (along (fun w' => diagonal d w' x) w p) (w p) (w (partner p) * x (coordinate p)) 0.
Proof.
  intros d w p x P. eapply jet_ext; [intros t; symmetry; apply diagonal_update; auto|].
  apply jet_ext with (fun t => w (partner p) * x (coordinate p) * t + (diagonal d w x - w p * (w (partner p) * x (coordinate p))));
    [intros; ring|apply jet_affine].
Qed.

Lemma trace_scal : forall {A} `{Indexed A} params c (g : (A -> R) -> R) w,
  twice_differentiable params g w -> trace params (fun w' => c * g w') w = c * trace params g w.
Proof.
  intros. unfold trace. rewrite <- sum_scal. apply sum_ext. intros p P. destruct (H0 p P) as (d1 & d2 & J).
  unfold second. rewrite (jet_second _ _ _ _ J). erewrite jet_second; [reflexivity|]. unfold along. apply jet_scal. exact J.
Qed.

Section Data.
Variables (kappa : R) (d : nat) (data : list (point * R)).
Let loss := diagonal_loss kappa d data.
Let Sigma := covariance data.

Lemma smooth_diagonal : forall w, smooth_on (weights d) (diagonal d) data w.
Proof. intros w s _ p P. do 2 eexists. apply jet_diagonal. auto. Qed.

Lemma sum_gradients : forall w p, In p (weights d) ->
  Sum data (fun s => partial (fun w' => diagonal d w' (fst s)) w p ^ 2)
  = Sum data (fun s => fst s (coordinate p) * fst s (coordinate p)) * w (partner p) ^ 2.
Proof.
  intros w p P. rewrite <- sum_scal_r. apply sum_ext. intros s _. unfold partial.
  rewrite (jet_derive _ _ _ _ (jet_diagonal d w p (fst s) P)). ring.
Qed.

(* The second derivative of the loss in one weight, at interpolation or not. *)
Lemma diagonal_second : forall w p, In p (weights d) ->
  second loss w p = 2 * kappa * Sigma (coordinate p) (coordinate p) * w (partner p) ^ 2.
Proof.
  intros w p P. destruct (jet_mse _ _ _ _ (smooth_diagonal w) p P) as (d1 & J).
  unfold second, loss, diagonal_loss. erewrite jet_second; [|unfold along; apply jet_scal; exact J].
  rewrite sum_plus, (sum_scal data 2), sum_gradients by auto.
  rewrite (sum_zero data (fun s => 2 * (diagonal d w (fst s) - snd s) * second (fun th => diagonal d th (fst s)) w p)).
  - unfold Sigma, covariance. ring.
  - intros s _. unfold second. rewrite (jet_second _ _ _ _ (jet_diagonal d w p (fst s) P)). ring.
Qed.

(* andriushchenko2023/diag-2, the value; off interpolation too. *)
Theorem diagonal_trace : forall w,
  trace (weights d) loss w = 2 * kappa * Sum (below d) (fun i => Sigma i i * (w (U i) ^ 2 + w (V i) ^ 2)).
Proof.
  intros w. unfold trace. rewrite sum_weights, <- sum_plus, <- sum_scal. apply sum_ext. intros i I. apply in_below in I.
  rewrite !diagonal_second by (apply in_weights; auto). cbn [coordinate partner]. ring.
Qed.

Lemma Sigma_nonneg : forall i, 0 <= Sigma i i.
Proof.
  intros. unfold Sigma, covariance. destruct data as [|s l]; [simpl; lra|].
  apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, lt_0_INR; simpl; lia|]. apply sum_nonneg. intros. nra.
Qed.

(* andriushchenko2023/diag-2 as corrected: equality where |u_i| = |v_i| for every i with Sigma_ii > 0. *)
Theorem diagonal_trace_least : forall w, 0 < kappa ->
  4 * kappa * Sum (below d) (fun i => Sigma i i * Rabs (w (U i) * w (V i))) <= trace (weights d) loss w
  /\ (trace (weights d) loss w = 4 * kappa * Sum (below d) (fun i => Sigma i i * Rabs (w (U i) * w (V i)))
      <-> forall i, (i < d)%nat -> 0 < Sigma i i -> Rabs (w (U i)) = Rabs (w (V i))).
Proof.
  intros w K.
  assert (G : trace (weights d) loss w = 4 * kappa * Sum (below d) (fun i => Sigma i i * Rabs (w (U i) * w (V i)))
    + 2 * kappa * Sum (below d) (fun i => Sigma i i * (Rabs (w (U i)) - Rabs (w (V i))) ^ 2)).
  { rewrite diagonal_trace. rewrite <- !sum_scal, <- sum_plus. apply sum_ext. intros i _. rewrite Rabs_mult.
    rewrite <- (pow2_abs (w (U i))), <- (pow2_abs (w (V i))). ring. }
  assert (N : forall i, In i (below d) -> 0 <= Sigma i i * (Rabs (w (U i)) - Rabs (w (V i))) ^ 2).
  { intros. apply Rmult_le_pos; [apply Sigma_nonneg|apply pow2_ge_0]. }
  assert (P := sum_nonneg _ _ N). split; [nra|]. split.
  - intros E i I S. rewrite G in E.
    assert (Z : Sum (below d) (fun i => Sigma i i * (Rabs (w (U i)) - Rabs (w (V i))) ^ 2) = 0) by nra.
    assert (T := sum_nonneg_zero _ _ N Z i (proj2 (in_below d i) I)).
    apply Rmult_integral in T. destruct T as [T|T]; [lra|].
    destruct (Req_dec (Rabs (w (U i)) - Rabs (w (V i))) 0) as [|B]; [lra|]. apply pow_nonzero with (n := 2%nat) in B. contradiction.
  - intros H. rewrite G. rewrite (sum_zero (below d) (fun i => Sigma i i * (Rabs (w (U i)) - Rabs (w (V i))) ^ 2)); [ring|].
    intros i I. apply in_below in I. destruct (Rle_lt_or_eq_dec _ _ (Sigma_nonneg i)) as [S|S].
    + rewrite (H i I S). ring.
    + rewrite <- S. ring.
Qed.

(* --- scaled -------------------------------------------------------------------------------------------------------------------------- *)

(* Tr(C H C) for a scaling c of each weight. *)
Definition scaled_trace (c : layer -> R) (w : layer -> R) : R := Sum (weights d) (fun p => c p ^ 2 * second loss w p).

(* c_u = |u|^q |v|^(q-1), c_v likewise; real powers, for weights that are not 0. *)
Definition power_scale (q : R) (w : layer -> R) (p : layer) : R :=
  Rpower (Rabs (w p)) q * Rpower (Rabs (w (partner p))) (q - 1).

Lemma Rpower_one_less : forall a q, 0 < a -> Rpower a (q - 1) * a = Rpower a q.
Proof. intros a q A. rewrite <- (Rpower_1 a) at 2 by auto. rewrite <- Rpower_plus. f_equal. ring. Qed.

Lemma power_times_partner : forall q w p, w p <> 0 -> w (partner p) <> 0 ->
  power_scale q w p * Rabs (w (partner p)) = Rpower (Rabs (w p * w (partner p))) q.
Proof.
  intros q w p N N'. unfold power_scale. rewrite Rmult_assoc, Rpower_one_less by (apply Rabs_pos_lt; auto).
  rewrite Rpower_mult_distr by (apply Rabs_pos_lt; auto). rewrite Rabs_mult. auto.
Qed.

(* andriushchenko2023/diag-10 as corrected: the trace is 4 kappa sum_i Sigma_ii |beta_i|^(2q). *)
Theorem scaled_trace_is_a_norm : forall q w, (forall p, In p (weights d) -> w p <> 0) ->
  scaled_trace (power_scale q w) w = 4 * kappa * Sum (below d) (fun i => Sigma i i * Rpower (Rabs (w (U i) * w (V i))) (2 * q)).
Proof.
  intros q w N.
  assert (T : forall p, In p (weights d) -> power_scale q w p ^ 2 * second loss w p
     = 2 * kappa * Sigma (coordinate p) (coordinate p) * Rpower (Rabs (w p * w (partner p))) (2 * q)).
  { intros p P. rewrite diagonal_second by auto.
    assert (N' : w (partner p) <> 0).
    { apply N. apply in_weights in P. destruct p; apply in_weights; auto. }
    rewrite <- (pow2_abs (w (partner p))).
    replace (2 * q) with (q + q) by ring. rewrite Rpower_plus, <- power_times_partner by auto. ring. }
  unfold scaled_trace. rewrite sum_weights, <- sum_plus, <- sum_scal. apply sum_ext. intros i I. apply in_below in I.
  rewrite !T by (apply in_weights; auto). cbn [coordinate partner]. rewrite (Rmult_comm (w (V i))). ring.
Qed.

(* u_i -> alpha_i u_i, v_i -> v_i / alpha_i. *)
Definition rescaled (alpha : nat -> R) (w : layer -> R) (p : layer) : R :=
  match p with U i => alpha i * w (U i) | V i => w (V i) / alpha i end.

Theorem scaled_trace_invariant : forall q alpha w, (forall p, In p (weights d) -> w p <> 0) -> (forall i, alpha i <> 0) ->
  diagonal d (rescaled alpha w) = diagonal d w
  /\ scaled_trace (power_scale q (rescaled alpha w)) (rescaled alpha w) = scaled_trace (power_scale q w) w.
Proof.
  intros q alpha w N A. split.
  - apply functional_extensionality. intros x. apply sum_ext. intros i _. unfold rescaled. field. auto.
  - rewrite !scaled_trace_is_a_norm; auto.
    + f_equal. apply sum_ext. intros i _. f_equal. f_equal. f_equal. unfold rescaled. field. auto.
    + intros p P. specialize (N p P). unfold rescaled. destruct p as [i|i].
      * apply Rmult_integral_contrapositive_currified; auto.
      * unfold Rdiv. apply Rmult_integral_contrapositive_currified; auto. apply Rinv_neq_0_compat; auto.
Qed.

(* --- the loss moved ------------------------------------------------------------------------------------------------------------------- *)

(* e_i, by which u_i v_i moves as (u, v) -> (u + a, v + b). *)
Definition moved (w a : layer -> R) (i : nat) : R := a (U i) * w (V i) + w (U i) * a (V i) + a (U i) * a (V i).

Lemma diagonal_moved : forall w a x, diagonal d (fun p => w p + a p) x = diagonal d w x + dot d (moved w a) x.
Proof. intros. unfold diagonal, dot. rewrite <- sum_plus. apply sum_ext. intros. unfold moved. ring. Qed.

(* sum_ij e_i Sigma_ij e_j is the mean of (e . x)^2. *)
Lemma quadratic_form : forall e : nat -> R,
  Sum (below d) (fun i => Sum (below d) (fun j => e i * Sigma i j * e j)) = / INR (length data) * Sum data (fun s => dot d e (fst s) ^ 2).
Proof.
  intros e.
  rewrite (sum_ext data _ (fun s => Sum (below d) (fun i => Sum (below d) (fun j => e i * fst s i * (e j * fst s j))))).
  2: { intros s _. simpl pow. rewrite Rmult_1_r. unfold dot. rewrite sum_product. auto. }
  rewrite (sum_swap data (below d)). rewrite <- sum_scal. apply sum_ext. intros i _.
  rewrite (sum_swap data (below d)), <- sum_scal. apply sum_ext. intros j _. unfold Sigma, covariance.
  rewrite (sum_ext data (fun s => e i * fst s i * (e j * fst s j)) (fun s => e i * e j * (fst s i * fst s j))) by (intros; ring).
  rewrite sum_scal. ring.
Qed.

(* own/diagonal-1: L(w + a) - L(w) = kappa (2 g . e + e' Sigma e), g_i = (1/n) sum_k (f(x_k) - y_k) x_ki. *)
Theorem loss_moved : forall w a, let e := moved w a in
  loss (fun p => w p + a p) - loss w
  = kappa * (2 * Sum (below d) (fun i => (/ INR (length data) * Sum data (fun s => (diagonal d w (fst s) - snd s) * fst s i)) * e i)
      + Sum (below d) (fun i => Sum (below d) (fun j => e i * Sigma i j * e j))).
Proof.
  intros w a e. rewrite quadratic_form. unfold loss, diagonal_loss, mse.
  rewrite (sum_ext data (fun s => (diagonal d (fun p => w p + a p) (fst s) - snd s) ^ 2)
    (fun s => (diagonal d w (fst s) - snd s) ^ 2 + (2 * ((diagonal d w (fst s) - snd s) * dot d e (fst s)) + dot d e (fst s) ^ 2))).
  2: { intros s _. rewrite diagonal_moved. fold e. ring. }
  rewrite !sum_plus, sum_scal.
  rewrite (sum_ext data (fun s => (diagonal d w (fst s) - snd s) * dot d e (fst s))
    (fun s => Sum (below d) (fun i => (diagonal d w (fst s) - snd s) * fst s i * e i))).
  2: { intros s _. unfold dot. rewrite <- sum_scal. apply sum_ext. intros. ring. }
  rewrite (sum_swap data (below d)).
  rewrite (sum_ext (below d) (fun i => / INR (length data) * _ * e i)
    (fun i => / INR (length data) * Sum data (fun s => (diagonal d w (fst s) - snd s) * fst s i * e i))).
  2: { intros i _. rewrite (sum_scal_r data (e i)). ring. }
  rewrite sum_scal. ring.
Qed.

(* --- the average case -------------------------------------------------------------------------------------------------------------------- *)

(* The mean of a random quantity, with what is used of it: linear, and independent displacements z_p of mean 0 and mean square tau. These
   moments are what independent variables with the law N(0, 1) (tau = 1) or U[-1, 1] (tau = 1/3) have; here they are premises. *)
Record displacements (Omega : Type) (E : (Omega -> R) -> R) (z : layer -> Omega -> R) (tau : R) : Prop := {
  additive : forall f g, E (fun o => f o + g o) = E f + E g;
  homogeneous : forall c f, E (fun o => c * f o) = c * E f;
  mean_zero : forall p, E (z p) = 0;
  uncorrelated : forall p q, p <> q -> E (fun o => z p o * z q o) = 0;
  mean_square : forall p, E (fun o => z p o * z p o) = tau;
  three_apart : forall i q, E (fun o => z (U i) o * z (V i) o * z q o) = 0;
  four_apart : forall i j, i <> j -> E (fun o => z (U i) o * z (V i) o * (z (U j) o * z (V j) o)) = 0;
  four_paired : forall i, E (fun o => z (U i) o * z (V i) o * (z (U i) o * z (V i) o)) = tau * tau }.

Section Average.
Context {Omega : Type} (E : (Omega -> R) -> R) (z : layer -> Omega -> R) (tau : R).
Hypothesis law : displacements Omega E z tau.

Lemma E_ext : forall f g, (forall o, f o = g o) -> E f = E g.
Proof. intros f g H. f_equal. apply functional_extensionality. auto. Qed.

Lemma E_sum : forall {A} (l : list A) (f : A -> Omega -> R), E (fun o => Sum l (fun a => f a o)) = Sum l (fun a => E (f a)).
Proof.
  induction l as [|a l IH]; intros f; simpl.
  - rewrite (E_ext _ (fun o => 0 * 0)) by (intros; ring). rewrite (homogeneous _ _ _ _ law 0 (fun _ => 0)). ring.
  - rewrite (additive _ _ _ _ law). rewrite IH. auto.
Qed.

(* e = p s + q t + r s t in each coordinate. *)
Definition move (p q r : nat -> R) (i : nat) (o : Omega) : R := p i * z (U i) o + q i * z (V i) o + r i * (z (U i) o * z (V i) o).

Lemma moment_of_moves : forall p q r i j, E (fun o => move p q r i o * move p q r j o)
  = if Nat.eq_dec i j then tau * (p i ^ 2 + q i ^ 2) + tau * tau * r i ^ 2 else 0.
Proof.
  intros p q r i j. destruct law as [Add Hom Zero Unc Sq Three Four Pair].
  set (m := fun (a b : Omega -> R) => E (fun o => a o * b o)).
  set (uv := fun i o => z (U i) o * z (V i) o).
  assert (X : E (fun o => move p q r i o * move p q r j o)
    = p i * p j * m (z (U i)) (z (U j)) + (p i * q j * m (z (U i)) (z (V j)) + (p i * r j * m (uv j) (z (U i))
      + (q i * p j * m (z (V i)) (z (U j)) + (q i * q j * m (z (V i)) (z (V j)) + (q i * r j * m (uv j) (z (V i))
      + (r i * p j * m (uv i) (z (U j)) + (r i * q j * m (uv i) (z (V j)) + r i * r j * m (uv i) (uv j))))))))).
  { unfold m. rewrite <- !Hom, <- !Add. apply E_ext. intros o. unfold move, uv. ring. }
  rewrite X. unfold m, uv. rewrite !Three.
  destruct (Nat.eq_dec i j) as [->|N].
  - rewrite !Sq, Pair. rewrite !Unc by congruence. ring.
  - rewrite Four by auto. rewrite !Unc by congruence. ring.
Qed.

(* own/diagonal-2: displacements rho c_p z_p. At interpolation or not, the linear term has mean 0. *)
Theorem average_case : forall w (c : layer -> R) rho,
  E (fun o => loss (fun p => w p + rho * c p * z p o) - loss w)
  = kappa * Sum (below d) (fun i => Sigma i i * (tau * rho ^ 2 * ((c (U i) * w (V i)) ^ 2 + (c (V i) * w (U i)) ^ 2)
      + tau ^ 2 * rho ^ 4 * (c (U i) * c (V i)) ^ 2)).
Proof.
  intros w c rho. destruct law as [Add Hom Zero Unc Sq Three Four Pair].
  set (p := fun i => rho * c (U i) * w (V i)). set (q := fun i => rho * c (V i) * w (U i)). set (r := fun i => rho ^ 2 * (c (U i) * c (V i))).
  assert (M : forall i o, moved w (fun p => rho * c p * z p o) i = move p q r i o).
  { intros. unfold moved, move, p, q, r. ring. }
  set (g := fun i => 2 * (/ INR (length data) * Sum data (fun s => (diagonal d w (fst s) - snd s) * fst s i))).
  rewrite (E_ext _ (fun o => kappa * (Sum (below d) (fun i => g i * move p q r i o)
     + Sum (below d) (fun i => Sum (below d) (fun j => Sigma i j * (move p q r i o * move p q r j o)))))).
  2: { intros o. rewrite loss_moved. f_equal. f_equal.
       - rewrite <- sum_scal. apply sum_ext. intros i _. rewrite M. unfold g. ring.
       - apply sum_ext. intros i _. apply sum_ext. intros j _. rewrite !M. ring. }
  rewrite Hom, Add. f_equal. rewrite !E_sum.
  rewrite (sum_zero (below d) (fun i => E (fun o => g i * move p q r i o))).
  2: { intros i _. rewrite Hom. unfold move. rewrite !Add, !Hom, !Zero, Unc by congruence. ring. }
  rewrite Rplus_0_l. apply sum_ext. intros i I. rewrite E_sum. rewrite (sum_single _ _ i); [|apply nodup_below|auto|].
  - rewrite Hom, moment_of_moves. destruct (Nat.eq_dec i i); [|congruence]. unfold p, q, r. ring.
  - intros j _ N. rewrite Hom, moment_of_moves. destruct (Nat.eq_dec i j); [congruence|ring].
Qed.

(* andriushchenko2023/diag-3, c = 1: kappa sum_i Sigma_ii (tau rho^2 (u_i^2 + v_i^2) + tau^2 rho^4). *)
Theorem average_case_unscaled : forall w rho,
  E (fun o => loss (fun p => w p + rho * 1 * z p o) - loss w)
  = kappa * Sum (below d) (fun i => Sigma i i * (tau * rho ^ 2 * (w (U i) ^ 2 + w (V i) ^ 2) + tau ^ 2 * rho ^ 4)).
Proof.
  intros w rho. rewrite (average_case w (fun _ => 1) rho). f_equal. apply sum_ext. intros. ring.
Qed.

(* andriushchenko2023/diag-4, c = |w|: kappa (2 tau rho^2 + tau^2 rho^4) sum_i Sigma_ii beta_i^2. *)
Theorem average_case_adaptive : forall w rho,
  E (fun o => loss (fun p => w p + rho * Rabs (w p) * z p o) - loss w)
  = kappa * (2 * (tau * rho ^ 2) + tau ^ 2 * rho ^ 4) * Sum (below d) (fun i => Sigma i i * (w (U i) * w (V i)) ^ 2).
Proof.
  intros w rho. rewrite (average_case w (fun p => Rabs (w p)) rho). rewrite Rmult_assoc. f_equal. rewrite <- sum_scal.
  apply sum_ext. intros i _.
  replace ((Rabs (w (U i)) * w (V i)) ^ 2) with (Rabs (w (U i)) ^ 2 * w (V i) ^ 2) by ring.
  replace ((Rabs (w (V i)) * w (U i)) ^ 2) with (Rabs (w (V i)) ^ 2 * w (U i) ^ 2) by ring.
  replace ((Rabs (w (U i)) * Rabs (w (V i))) ^ 2) with (Rabs (w (U i)) ^ 2 * Rabs (w (V i)) ^ 2) by ring.
  rewrite !pow2_abs. ring.
Qed.
End Average.
End Data.

(* --- counterexamples ---------------------------------------------------------------------------------------------------------------------- *)

(* diag-2: x = (1, 0), y = 1, u = (1, 1), v = (1, 0): the trace is least, though |u_2| = 1 and |v_2| = 0. *)
Theorem unseen_coordinate_refutes :
  let data := [((fun k => match k with 0%nat => 1 | _ => 0 end) : point, 1)] in
  let w p := match p with U 0 | U 1 | V 0 => 1 | _ => 0 end in
  (forall s, In s data -> diagonal 2 w (fst s) = snd s)
  /\ trace (weights 2) (diagonal_loss 1 2 data) w = 4
  /\ 4 * 1 * Sum (below 2) (fun i => covariance data i i * Rabs (w (U i) * w (V i))) = 4
  /\ Rabs (w (U 1%nat)) <> Rabs (w (V 1%nat)).
Proof.
  intros data w. split; [|split; [|split]].
  - intros s [<-|[]]. unfold diagonal, w. simpl. ring.
  - rewrite diagonal_trace. unfold covariance, data, w. simpl. field.
  - unfold covariance, data, w. simpl. rewrite !Rmult_1_l, Rmult_0_r, Rabs_R1, Rabs_R0. field.
  - unfold w. rewrite Rabs_R1, Rabs_R0. lra.
Qed.

(* diag-3 and diag-4 for the uniform law: with tau = 1/3 at d = n = 1, x = u = v = kappa = rho = 1 the average is 7/9, printed 3. *)
Theorem uniform_law_refutes : forall Omega (E : (Omega -> R) -> R) z, displacements Omega E z (1 / 3) ->
  let data := [((fun _ => 1) : point, 1)] in let w (_ : layer) := 1 in let loss := diagonal_loss 1 1 data in
  E (fun o => loss (fun p => w p + 1 * 1 * z p o) - loss w) = 7 / 9
  /\ E (fun o => loss (fun p => w p + 1 * Rabs (w p) * z p o) - loss w) = 7 / 9
  /\ 1 * Sum (below 1) (fun i => covariance data i i * (1 ^ 2 * (w (U i) ^ 2 + w (V i) ^ 2) + 1 ^ 4)) = 3
  /\ 1 * (2 * 1 ^ 2 + 1 ^ 4) * Sum (below 1) (fun i => covariance data i i * (w (U i) * w (V i)) ^ 2) = 3.
Proof.
  intros Omega E z L data w loss. split; [|split; [|split]].
  - unfold loss. rewrite (average_case_unscaled 1 1 data E z _ L). unfold covariance, data, w. simpl. field.
  - unfold loss. rewrite (average_case_adaptive 1 1 data E z _ L). unfold covariance, data, w. simpl. field.
  - unfold covariance, data, w. simpl. field.
  - unfold covariance, data, w. simpl. field.
Qed.

(* diag-10: Sigma = diag(1, 4), q = 1/2: beta = (4, 0) and (0, 1), at sizes |u| = |v|, have one trace, 16 kappa, and l1 norms 4 and 1. *)
Theorem weighted_norm_refutes :
  let data := [((fun k => match k with 0%nat => sqrt 2 | _ => 0 end) : point, 0); ((fun k => match k with 1%nat => 2 * sqrt 2 | _ => 0 end) : point, 0)] in
  let norm beta := 4 * 1 * Sum (below 2) (fun i => covariance data i i * Rabs (beta i)) in
  let l1 (beta : nat -> R) := Sum (below 2) (fun i => Rabs (beta i)) in
  let beta k := match k with 0%nat => 4 | _ => 0 end in let beta' k := match k with 1%nat => 1 | _ => 0 end in
  norm beta = 16 /\ norm beta' = 16 /\ l1 beta = 4 /\ l1 beta' = 1.
Proof.
  intros data norm l1 beta beta'.
  assert (S : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra).
  unfold norm, l1, covariance, data, beta, beta'. simpl.
  rewrite (Rabs_pos_eq 4), Rabs_R0, Rabs_R1 by lra.
  replace (2 * sqrt 2 * (2 * sqrt 2)) with 8 by (rewrite <- (Rmult_1_r 8); nra). rewrite S.
  repeat split; field.
Qed.
