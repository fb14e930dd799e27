(* Owns wen2023's inequalities in a few reals and over finite sums: lemmas A.26, A.27 and A.25, remark 3.1, the zero-one loss. *)
From Coq Require Import Reals List Lra Lia Psatz FunctionalExtensionality.
From Flatproof Require Import Sums Calculus Networks.
Import ListNotations.
Open Scope R_scope.

(* wen2023/lemma-A.26. *)
Theorem relu_square_lipschitz : forall x y, Rabs (relu x ^ 2 - relu y ^ 2) <= (Rabs x + Rabs y) * Rabs (x - y).
Proof.
  intros. replace (relu x ^ 2 - relu y ^ 2) with ((relu x + relu y) * (relu x - relu y)) by ring.
  assert (B : forall v, relu v <= Rabs v).
  { intros v. unfold relu, Rmax, Rabs. destruct (Rle_dec 0 v), (Rcase_abs v); lra. }
  rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos.
  - pose proof (relu_nonneg x). pose proof (relu_nonneg y). pose proof (B x). pose proof (B y). rewrite Rabs_pos_eq; lra.
  - unfold relu, Rmax, Rabs. destruct (Rle_dec 0 x), (Rle_dec 0 y); repeat destruct (Rcase_abs _); lra.
Qed.

(* At most one of four is positive, so at least three are not. *)
Definition three_not_positive (a b c d : R) : Prop :=
  (a <= 0 /\ b <= 0 /\ c <= 0) \/ (a <= 0 /\ b <= 0 /\ d <= 0) \/ (a <= 0 /\ c <= 0 /\ d <= 0) \/ (b <= 0 /\ c <= 0 /\ d <= 0).

(* wen2023/lemma-A.27, with its equality cases. *)
Theorem four_neurons : forall a b c d, a + d = b + c ->
  (relu a + relu d - relu b - relu c) ^ 2 <= relu a ^ 2 + relu b ^ 2 + relu c ^ 2 + relu d ^ 2
  /\ ((relu a + relu d - relu b - relu c) ^ 2 = relu a ^ 2 + relu b ^ 2 + relu c ^ 2 + relu d ^ 2 <-> three_not_positive a b c d).
Proof.
  intros a b c d E. assert (D : d = b + c - a) by lra. subst d. clear E. unfold three_not_positive, relu, Rmax.
  destruct (Rle_dec 0 a), (Rle_dec 0 b), (Rle_dec 0 c), (Rle_dec 0 (b + c - a)); split; try nra; split; intros; try nra.
Qed.

(* --- remark 3.1 ------------------------------------------------------------------------------------------------------------------ *)

(* A law on finitely many outcomes: what is wrong with probability, E (f - y)^2. *)
Definition chance {A} (outcomes : list A) (weight : A -> R) (event : A -> Prop) (decide : forall a, {event a} + {~ event a}) : R :=
  Sum outcomes (fun a => weight a * (if decide a then 1 else 0)).
Definition mean {A} (outcomes : list A) (weight : A -> R) (value : A -> R) : R := Sum outcomes (fun a => weight a * value a).
Definition law {A} (outcomes : list A) (weight : A -> R) : Prop := (forall a, In a outcomes -> 0 <= weight a) /\ Sum outcomes weight = 1.

Lemma wrong_sign_costs : forall f y, Rabs y = 1 -> f * y <= 0 -> 1 <= (f - y) ^ 2.
Proof. intros f y A W. assert (y * y = 1) by (rewrite <- (Rabs_pos_eq (y * y)), Rabs_mult, A; nra). nra. Qed.

(* wen2023/remark-3.1 as corrected: Pr(f y <= 0) <= E (f - y)^2. *)
Theorem wrong_at_most_square_error : forall {A} (outcomes : list A) weight f y, law outcomes weight ->
  (forall a, In a outcomes -> Rabs (y a) = 1) ->
  chance outcomes weight (fun a => f a * y a <= 0) (fun a => Rle_dec _ _) <= mean outcomes weight (fun a => (f a - y a) ^ 2).
Proof.
  intros A outcomes weight f y [W _] Y. apply sum_le. intros a I. apply Rmult_le_compat_l; auto.
  destruct (Rle_dec (f a * y a) 0); [apply wrong_sign_costs; auto|apply pow2_ge_0].
Qed.

(* As printed it fails: f = y has E (f - y)^2 = 0 and Pr(f y > 0) = 1. *)
Theorem printed_event_refuted : forall {A} (outcomes : list A) weight y, law outcomes weight ->
  (forall a, In a outcomes -> Rabs (y a) = 1) ->
  mean outcomes weight (fun a => (y a - y a) ^ 2) = 0
  /\ chance outcomes weight (fun a => 0 < y a * y a) (fun a => Rlt_dec _ _) = 1
  /\ chance outcomes weight (fun a => y a * y a <= 0) (fun a => Rle_dec _ _) = 0.
Proof.
  intros A outcomes weight y [W T] Y.
  assert (P : forall a, In a outcomes -> 0 < y a * y a).
  { intros a I. assert (y a <> 0); [|nra]. intros E. specialize (Y a I). rewrite E, Rabs_R0 in Y. lra. }
  split; [|split].
  - apply sum_zero. intros. ring.
  - rewrite <- T. apply sum_ext. intros a I. destruct (Rlt_dec 0 (y a * y a)); [ring|]. specialize (P a I). lra.
  - apply sum_zero. intros a I. destruct (Rle_dec (y a * y a) 0); [|ring]. specialize (P a I). lra.
Qed.

(* wen2023/zero-one-loss as corrected: for |y| = 1, f has another sign than y, 0 included, exactly where y f <= 0. *)
Theorem an_error_is : forall f y, Rabs y = 1 -> (sgn f <> y <-> y * f <= 0).
Proof.
  intros f y A. assert (Y : y = 1 \/ y = - 1).
  { unfold Rabs in A. destruct (Rcase_abs y); lra. }
  unfold sgn. destruct (Rlt_dec 0 f), (Rlt_dec f 0), Y; subst; split; intros; try lra; try nra.
Qed.

(* --- lemma A.25 ------------------------------------------------------------------------------------------------------------------- *)

(* All 2^n vectors of signs. *)
Fixpoint signs (n : nat) : list (list R) :=
  match n with O => [[]] | S k => map (cons 1) (signs k) ++ map (cons (- 1)) (signs k) end.

(* sum_i s_i v_i. *)
Fixpoint combine (s : list R) (v : list R) : R :=
  match s, v with e :: s', a :: v' => e * a + combine s' v' | _, _ => 0 end.

(* The empirical Rademacher complexity of a class of functions on the sample xs is at most c: the mean over the signs of the least
   upper bound of (1/n) sum_i s_i f(x_i). *)
Definition complexity_at_most {X} (class : (X -> R) -> Prop) (xs : list X) (c : R) : Prop :=
  exists sup : list R -> R,
    (forall s, In s (signs (length xs)) ->
       is_lub (fun v => exists f, class f /\ v = / INR (length xs) * combine s (map f xs)) (sup s))
    /\ / 2 ^ length xs * Sum (signs (length xs)) sup <= c.

Definition linear_class (d : nat) (f : point -> R) : Prop := exists w, squared_norm d w <= 1 /\ forall x, f x = dot d w x.

Fixpoint combination (s : list R) (xs : list point) : point :=
  match s, xs with e :: s', x :: xs' => fun k => e * x k + combination s' xs' k | _, _ => fun _ => 0 end.

Lemma combine_dot : forall d w s xs, combine s (map (dot d w) xs) = dot d w (combination s xs).
Proof.
  induction s; intros [|x xs]; simpl; try (unfold dot; rewrite sum_zero; intros; ring).
  rewrite IHs. unfold dot. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros. ring.
Qed.

Lemma length_signs : forall n, INR (length (signs n)) = 2 ^ n.
Proof. induction n; simpl; [auto|]. rewrite app_length, !map_length, plus_INR, IHn. ring. Qed.

(* Signs are uncorrelated. *)
Lemma mean_square : forall d xs v,
  Sum (signs (length xs)) (fun s => squared_norm d (fun k => v k + combination s xs k))
  = 2 ^ length xs * (squared_norm d v + Sum xs (squared_norm d)).
Proof.
  induction xs as [|x xs IH]; intros v.
  - simpl. rewrite Rplus_0_r, Rmult_1_l, Rplus_0_r. apply sum_ext. intros. f_equal. ring.
  - simpl length. simpl signs. rewrite sum_app, !sum_map. cbn [combination].
    rewrite (sum_ext _ (fun a => squared_norm d (fun k => v k + (1 * _ + _)))
       (fun s => squared_norm d (fun k => (v k + x k) + combination s xs k))).
    2: { intros. apply sum_ext. intros. ring. }
    rewrite (sum_ext _ (fun a => squared_norm d (fun k => v k + (- 1 * _ + _)))
       (fun s => squared_norm d (fun k => (v k - x k) + combination s xs k))).
    2: { intros. apply sum_ext. intros. ring. }
    rewrite (IH (fun k => v k + x k)), (IH (fun k => v k - x k)). simpl Sum. simpl pow.
    assert (P : squared_norm d (fun k => v k + x k) + squared_norm d (fun k => v k - x k)
       = 2 * squared_norm d v + 2 * squared_norm d x).
    { unfold squared_norm. rewrite <- sum_plus, <- !sum_scal, <- sum_plus. apply sum_ext. intros. ring. }
    nra.
Qed.

Lemma dot_le_norm : forall d w x, squared_norm d w <= 1 -> dot d w x <= norm d x.
Proof.
  intros d w x W. pose proof (cauchy_dot d w x). rewrite <- (norm_square d x) in H. pose proof (norm_nonneg d x).
  assert (dot d w x ^ 2 <= norm d x ^ 2) by (pose proof (pow2_ge_0 (norm d x)); nra).
  destruct (Rle_dec (dot d w x) (norm d x)); auto. nra.
Qed.

Lemma norm_reached : forall d x, exists w, squared_norm d w <= 1 /\ dot d w x = norm d x.
Proof.
  intros. destruct (Req_dec (norm d x) 0) as [E|N].
  - exists (fun _ => 0). unfold squared_norm, dot. rewrite !sum_zero; intros; try lra; ring.
  - exists (fun k => / norm d x * x k). split.
    + unfold squared_norm. rewrite (sum_ext _ _ (fun k => (/ norm d x) ^ 2 * x k ^ 2)) by (intros; ring). rewrite sum_scal.
      fold (squared_norm d x). rewrite <- norm_square. right. field. auto.
    + unfold dot. rewrite (sum_ext _ _ (fun k => / norm d x * x k ^ 2)) by (intros; ring). rewrite sum_scal.
      fold (squared_norm d x). rewrite <- norm_square. field. auto.
Qed.

(* wen2023/lemma-A.25: R_S <= C / sqrt n for the linear class of unit norm, when ||x_i||^2 <= C^2. *)
Theorem linear_complexity : forall d xs C, 0 <= C -> xs <> [] -> (forall x, In x xs -> squared_norm d x <= C ^ 2) ->
  complexity_at_most (linear_class d) xs (C / sqrt (INR (length xs))).
Proof.
  intros d xs C HC NE B. set (n := length xs).
  assert (Pn : 0 < INR n) by (apply lt_0_INR; unfold n; destruct xs; [congruence|simpl; lia]).
  exists (fun s => / INR n * norm d (combination s xs)). split.
  - intros s Is. split.
    + intros v (f & (w & W & F) & ->). fold n.
      replace (map f xs) with (map (dot d w) xs) by (apply map_ext; intros; auto). rewrite combine_dot.
      apply Rmult_le_compat_l; [left; apply Rinv_0_lt_compat; auto|]. apply dot_le_norm; auto.
    + intros b U. destruct (norm_reached d (combination s xs)) as (w & W & E). apply U. exists (dot d w). split.
      * exists w. auto.
      * rewrite combine_dot, E. auto.
  - fold n. rewrite sum_scal.
    assert (P2 : 0 < 2 ^ n) by (apply pow_lt; lra).
    set (T := Sum (signs n) (fun s => norm d (combination s xs))).
    assert (Sq : T ^ 2 <= (2 ^ n * (C * sqrt (INR n))) ^ 2).
    { unfold T. eapply Rle_trans; [apply sum_square_le|]. rewrite length_signs.
      rewrite (sum_ext _ _ (fun s => squared_norm d (fun k => 0 + combination s xs k))).
      2: { intros. rewrite norm_square. apply sum_ext. intros. ring. }
      unfold n. rewrite (mean_square d xs (fun _ => 0)). fold n.
      replace (squared_norm d (fun _ => 0)) with 0 by (symmetry; apply sum_zero; intros; ring).
      assert (Sum xs (squared_norm d) <= INR n * C ^ 2).
      { unfold n. rewrite <- sum_const. apply sum_le. auto. }
      replace ((2 ^ n * (C * sqrt (INR n))) ^ 2) with (2 ^ n * (2 ^ n * (sqrt (INR n) * sqrt (INR n) * C ^ 2))) by ring.
      rewrite sqrt_sqrt by lra. rewrite Rplus_0_l.
      apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_l; lra. }
    assert (T <= 2 ^ n * (C * sqrt (INR n))).
    { assert (0 <= 2 ^ n * (C * sqrt (INR n))).
      { apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; auto. apply sqrt_pos. }
      destruct (Rle_dec T (2 ^ n * (C * sqrt (INR n)))); auto. nra. }
    apply Rmult_le_reg_l with (2 ^ n); auto. rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l by lra.
    apply Rmult_le_reg_l with (INR n); auto. rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l by lra.
    replace (INR n * (2 ^ n * (C / sqrt (INR n)))) with (2 ^ n * (C * sqrt (INR n))); auto.
    rewrite <- (sqrt_sqrt (INR n)) at 2 by lra. assert (0 < sqrt (INR n)) by (apply sqrt_lt_R0; auto). field. lra.
Qed.
