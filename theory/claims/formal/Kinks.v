(* Owns wen2023/theorem-A.1's reduction: a network without bias that fits a sample on kinks is turned into one off them, at three times its
   path norm and twice its width; and theorem A.1's four-neuron witness on the cube. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks Parity.
Import ListNotations.
Open Scope R_scope.

(* relu(z) = 2 relu(z + s) - relu(z + 2 s) for z = 0, and for |2 s| <= |z|. *)
Theorem kink_identity : forall z s, z = 0 \/ 2 * Rabs s <= Rabs z -> relu z = 2 * relu (z + s) - relu (z + 2 * s).
Proof.
  intros z s H. unfold relu, Rmax, Rabs in *.
  destruct (Rle_dec 0 z), (Rle_dec 0 (z + s)), (Rle_dec 0 (z + 2 * s)); destruct H as [H|H]; try lra;
  destruct (Rcase_abs s), (Rcase_abs z); lra.
Qed.

Definition nonzero (d : nat) (x : point) : Prop := exists k, (k < d)%nat /\ x k <> 0.

Lemma squared_norm_pos : forall d x, nonzero d x -> 0 < squared_norm d x.
Proof.
  intros d x (k & K & N). assert (0 < x k ^ 2) by (apply pow2_gt_0; auto).
  apply Rlt_le_trans with (x k ^ 2); auto. apply (sum_term_le (below d) (fun k => x k ^ 2)).
  - intros; apply pow2_ge_0.
  - apply in_below. auto.
Qed.

Lemma dot_plus : forall d w v t x, dot d (fun k => w k + t * v k) x = dot d w x + t * dot d v x.
Proof. intros. unfold dot. rewrite <- sum_scal, <- sum_plus. apply sum_ext. intros. ring. Qed.

(* A number s in (0, 1] below finitely many positive bounds. *)
Lemma small_enough : forall {A} (l : list A) (bound : A -> R), (forall a, In a l -> 0 < bound a) ->
  exists s, 0 < s <= 1 /\ forall a, In a l -> s <= bound a.
Proof.
  induction l as [|a l IH]; intros bound B.
  - exists 1. split; [lra|]. intros a [].
  - destruct (IH bound) as (s & S & L); [intros; apply B; right; auto|].
    exists (Rmin s (bound a)). pose proof (B a (or_introl eq_refl)).
    split; [split; [apply Rmin_glb_lt; lra|eapply Rle_trans; [apply Rmin_l|lra]]|].
    intros b [<-|I]; [apply Rmin_r|]. eapply Rle_trans; [apply Rmin_l|auto].
Qed.

(* A direction that is orthogonal to none of finitely many nonzero points. *)
Lemma direction : forall d (xs : list point), (forall x, In x xs -> nonzero d x) ->
  exists v, forall x, In x xs -> dot d v x <> 0.
Proof.
  induction xs as [|x0 xs IH]; intros N.
  - exists (fun _ => 0). intros x [].
  - destruct IH as (v & V); [intros; apply N; right; auto|].
    destruct (Req_dec (dot d v x0) 0) as [Z|NZ].
    2: { exists v. intros x [<-|I]; auto. }
    set (bound := fun x => Rabs (dot d v x) / (2 * (1 + Rabs (dot d x0 x)))).
    assert (Pd : forall x, 0 < 2 * (1 + Rabs (dot d x0 x))) by (intros x; pose proof (Rabs_pos (dot d x0 x)); lra).
    destruct (small_enough xs bound) as (s & S & L).
    { intros x I. unfold bound. apply Rdiv_lt_0_compat; auto. apply Rabs_pos_lt. auto. }
    exists (fun k => v k + s * x0 k). intros x [<-|I]; rewrite dot_plus.
    + rewrite Z. replace (dot d x0 x0) with (squared_norm d x0) by (apply sum_ext; intros; ring).
      pose proof (squared_norm_pos d x0 (N x0 (or_introl eq_refl))). nra.
    + specialize (L x I). unfold bound in L. specialize (V x I). apply Rabs_pos_lt in V.
      apply (Rmult_le_compat_r (2 * (1 + Rabs (dot d x0 x)))) in L; [|specialize (Pd x); lra].
      replace (Rabs (dot d v x) / (2 * (1 + Rabs (dot d x0 x))) * (2 * (1 + Rabs (dot d x0 x)))) with (Rabs (dot d v x)) in L
        by (field; specialize (Pd x); lra).
      intros E. assert (F : Rabs (dot d v x) = s * Rabs (dot d x0 x)).
      { replace (dot d v x) with (- (s * dot d x0 x)) by lra. rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq s) by lra. auto. }
      pose proof (Rabs_pos (dot d x0 x)). nra.
Qed.

(* --- each neuron (w, a) becomes (w + eta v, 2 a) and (w + 2 eta v, -a) ------------------------------------------------------------------- *)

Definition split_off (m : nat) (theta : parameter -> R) (v : point) (eta : R) (p : parameter) : R :=
  match p with
  | Weight j k => if (j <? m)%nat then theta (Weight j k) + eta * v k else theta (Weight (j - m) k) + 2 * eta * v k
  | Output j => if (j <? m)%nat then 2 * theta (Output j) else - theta (Output (j - m))
  end.

Lemma sum_below_double : forall m (g : nat -> R), Sum (below (m + m)) g = Sum (below m) (fun j => g j + g (m + j)%nat).
Proof.
  intros. assert (H : forall n, Sum (below (m + n)) g = Sum (below m) g + Sum (below n) (fun j => g (m + j)%nat)).
  { induction n as [|n IH]; [rewrite Nat.add_0_r; simpl; ring|]. rewrite Nat.add_succ_r, !sum_below_S, IH. ring. }
  rewrite H, <- sum_plus. auto.
Qed.

Lemma split_first : forall m d theta v eta j x, (j < m)%nat ->
  preactivation d (split_off m theta v eta) j x = preactivation d theta j x + eta * dot d v x.
Proof.
  intros. unfold preactivation. rewrite <- dot_plus. apply sum_ext. intros k _. simpl.
  destruct (Nat.ltb_spec j m); [auto|lia].
Qed.

Lemma split_second : forall m d theta v eta j x,
  preactivation d (split_off m theta v eta) (m + j) x = preactivation d theta j x + 2 * eta * dot d v x.
Proof.
  intros. unfold preactivation. rewrite <- dot_plus. apply sum_ext. intros k _. simpl.
  destruct (Nat.ltb_spec (m + j) m); [lia|]. replace (m + j - m)%nat with j by lia. auto.
Qed.

(* sum_j |a_j| ||w_j||. *)
Definition path_norm (m d : nat) (theta : parameter -> R) : R :=
  Sum (below m) (fun j => Rabs (theta (Output j)) * norm d (fun k => theta (Weight j k))).

Lemma norm_triangle : forall d w v, norm d (fun k => w k + v k) <= norm d w + norm d v.
Proof.
  intros. pose proof (norm_nonneg d w). pose proof (norm_nonneg d v). pose proof (norm_nonneg d (fun k => w k + v k)).
  assert (E : norm d (fun k => w k + v k) ^ 2 = squared_norm d w + 2 * dot d w v + squared_norm d v).
  { rewrite norm_square. unfold squared_norm, dot. rewrite <- sum_scal, <- !sum_plus. apply sum_ext. intros. ring. }
  pose proof (cauchy_dot d w v) as C. rewrite <- !norm_square in *.
  assert (dot d w v <= norm d w * norm d v) by (assert (0 <= norm d w * norm d v) by (apply Rmult_le_pos; auto); nra). nra.
Qed.

Lemma norm_scal : forall d c v, norm d (fun k => c * v k) = Rabs c * norm d v.
Proof.
  intros. unfold norm, squared_norm. rewrite (sum_ext _ _ (fun k => c ^ 2 * v k ^ 2)) by (intros; ring). rewrite sum_scal.
  rewrite sqrt_mult_alt by apply pow2_ge_0. f_equal. rewrite <- Rsqr_pow2. apply sqrt_Rsqr_abs.
Qed.

(* wen2023/theorem-A.1's reduction: for every sample and every delta > 0 a network of width 2 m with the same outputs on the sample, no
   neuron at its kink at a sample that is not 0, and a path norm of at most 3 P + delta. *)
Theorem off_every_kink : forall m d theta (xs : list point) delta, 0 < delta ->
  exists theta', (forall x, In x xs -> network (m + m) d theta' x = network m d theta x)
    /\ (forall x, In x xs -> nonzero d x -> off_kinks (m + m) d theta' x
          /\ forall j, (j < m + m)%nat -> preactivation d theta' j x <> 0)
    /\ path_norm (m + m) d theta' <= 3 * path_norm m d theta + delta.
Proof.
  intros m d theta xs delta D.
  assert (Dec : forall x : point, {nonzero d x} + {~ nonzero d x}).
  { intros x. destruct (Req_EM_T (squared_norm d x) 0) as [E|N].
    - right. intros H. apply squared_norm_pos in H. lra.
    - left. clear - N. unfold nonzero. induction d as [|d IH].
      + elim N. reflexivity.
      + destruct (Req_EM_T (x d) 0) as [Z|Z]; [|exists d; split; auto].
        destruct IH as (k & K & X); [|exists k; split; auto].
        intros E. apply N. unfold squared_norm in *. rewrite sum_below_S, E, Z. ring. }
  set (ys := filter (fun x => if Dec x then true else false) xs).
  destruct (direction d ys) as (v & V).
  { intros x I. apply filter_In in I. destruct I as [_ T]. destruct (Dec x); [auto|discriminate]. }
  assert (V' : forall x, In x xs -> nonzero d x -> dot d v x <> 0).
  { intros x I N. apply V. apply filter_In. split; auto. destruct (Dec x); [auto|contradiction]. }
  assert (Zero : forall x w, ~ nonzero d x -> dot d w x = 0).
  { intros x w N. apply sum_zero. intros k K. apply in_below in K. destruct (Req_dec (x k) 0) as [->|X]; [ring|].
    elim N. exists k. auto. }
  (* eta: small against every pre-activation that is not 0, and against delta *)
  set (pairs := list_prod (below m) xs).
  set (bound := fun jx : nat * point => let z := preactivation d theta (fst jx) (snd jx) in
     if Req_EM_T z 0 then 1 else Rabs z / (3 * (1 + Rabs (dot d v (snd jx))))).
  destruct (small_enough pairs bound) as (s & Ps & Ls).
  { intros [j x] _. unfold bound. cbn [fst snd]. destruct (Req_EM_T _ 0) as [|N]; [lra|].
    apply Rdiv_lt_0_compat; [apply Rabs_pos_lt; auto|]. pose proof (Rabs_pos (dot d v x)). lra. }
  set (A := Sum (below m) (fun j => Rabs (theta (Output j)))). set (B := 4 * A * norm d v).
  assert (A0 : 0 <= A) by (apply sum_nonneg; intros; apply Rabs_pos).
  assert (B0 : 0 <= B) by (unfold B; apply Rmult_le_pos; [lra|apply norm_nonneg]).
  set (eta := Rmin s (delta / (1 + B))).
  assert (E0 : 0 < eta) by (unfold eta; apply Rmin_glb_lt; [lra|apply Rdiv_lt_0_compat; lra]).
  assert (Es : eta <= s) by apply Rmin_l.
  assert (Ed : eta * B <= delta).
  { assert (eta <= delta / (1 + B)) by apply Rmin_r. apply (Rmult_le_compat_r (1 + B)) in H; [|lra].
    replace (delta / (1 + B) * (1 + B)) with delta in H by (field; lra). nra. }
  assert (Small : forall j x, (j < m)%nat -> In x xs -> preactivation d theta j x <> 0 ->
     3 * Rabs (eta * dot d v x) < Rabs (preactivation d theta j x)).
  { intros j x J I N. assert (P : In (j, x) pairs) by (apply in_prod; auto; apply in_below; auto).
    specialize (Ls (j, x) P). unfold bound in Ls. cbn [fst snd] in Ls. destruct (Req_EM_T _ 0) as [|_]; [contradiction|].
    pose proof (Rabs_pos (dot d v x)). apply Rabs_pos_lt in N.
    apply (Rmult_le_compat_r (3 * (1 + Rabs (dot d v x)))) in Ls; [|lra].
    replace (Rabs (preactivation d theta j x) / (3 * (1 + Rabs (dot d v x))) * (3 * (1 + Rabs (dot d v x))))
      with (Rabs (preactivation d theta j x)) in Ls by (field; lra).
    rewrite Rabs_mult, (Rabs_pos_eq eta) by lra. nra. }
  exists (split_off m theta v eta). split; [|split].
  - intros x I. unfold network. rewrite sum_below_double. apply sum_ext. intros j J. apply in_below in J.
    rewrite split_first, split_second by auto. cbn [split_off].
    destruct (Nat.ltb_spec j m); [|lia]. destruct (Nat.ltb_spec (m + j) m); [lia|]. replace (m + j - m)%nat with j by lia.
    rewrite (kink_identity (preactivation d theta j x) (eta * dot d v x)).
    + rewrite Rmult_assoc with (r1 := 2) (r2 := eta). ring.
    + destruct (Req_dec (preactivation d theta j x) 0) as [|N]; auto. right. pose proof (Small j x J I N).
      pose proof (Rabs_pos (eta * dot d v x)). lra.
  - intros x I N.
    assert (K : forall j, (j < m + m)%nat -> preactivation d (split_off m theta v eta) j x <> 0).
    { intros j J.
      assert (Away : forall i c, (i < m)%nat -> c = 1 \/ c = 2 -> preactivation d theta i x + c * (eta * dot d v x) <> 0).
      { intros i c Im C. destruct (Req_dec (preactivation d theta i x) 0) as [->|Z].
        - rewrite Rplus_0_l. apply Rmult_integral_contrapositive_currified; [destruct C; lra|].
          apply Rmult_integral_contrapositive_currified; [lra|auto].
        - intros E. pose proof (Small i x Im I Z). replace (preactivation d theta i x) with (- (c * (eta * dot d v x))) in H by lra.
          rewrite Rabs_Ropp, (Rabs_mult c) in H. pose proof (Rabs_pos (eta * dot d v x)).
          assert (Rabs c <= 2) by (destruct C as [->| ->]; rewrite Rabs_pos_eq; lra).
          assert (Rabs c * Rabs (eta * dot d v x) <= 2 * Rabs (eta * dot d v x)) by (apply Rmult_le_compat_r; lra). lra. }
      destruct (lt_dec j m) as [L|L].
      - rewrite split_first by auto. rewrite <- (Rmult_1_l (eta * dot d v x)). apply Away; auto.
      - replace j with (m + (j - m))%nat by lia. rewrite split_second. rewrite Rmult_assoc. apply Away; [lia|auto]. }
    split; auto. intros j J _. auto.
  - unfold path_norm. rewrite sum_below_double. rewrite <- sum_scal.
    apply Rle_trans with (Sum (below m) (fun j => 3 * (Rabs (theta (Output j)) * norm d (fun k => theta (Weight j k)))
       + Rabs (theta (Output j)) * (4 * (eta * norm d v)))).
    + apply sum_le. intros j J. apply in_below in J. cbn [split_off].
      destruct (Nat.ltb_spec j m); [|lia]. destruct (Nat.ltb_spec (m + j) m); [lia|]. replace (m + j - m)%nat with j by lia.
      rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq 2) by lra.
      pose proof (norm_triangle d (fun k => theta (Weight j k)) (fun k => eta * v k)) as T1.
      pose proof (norm_triangle d (fun k => theta (Weight j k)) (fun k => 2 * eta * v k)) as T2.
      rewrite norm_scal in T1, T2. rewrite (Rabs_pos_eq eta) in T1 by lra. rewrite (Rabs_pos_eq (2 * eta)) in T2 by lra.
      pose proof (Rabs_pos (theta (Output j))).
      set (a := Rabs (theta (Output j))) in *. set (n0 := norm d (fun k => theta (Weight j k))) in *.
      set (n1 := norm d (fun k => theta (Weight j k) + eta * v k)) in *. set (n2 := norm d (fun k => theta (Weight j k) + 2 * eta * v k)) in *.
      assert (a * n1 <= a * (n0 + eta * norm d v)) by (apply Rmult_le_compat_l; auto).
      assert (a * n2 <= a * (n0 + 2 * eta * norm d v)) by (apply Rmult_le_compat_l; auto). nra.
    + rewrite sum_plus, sum_scal_r. fold A. apply Rplus_le_compat_l. unfold B in Ed. nra.
Qed.

(* --- theorem A.1's witness: W1 rows (1+e, 1-e), (1+e, -1+e), (-1-e, 1-e), (-1-e, -1+e), W2 = [1, -1, -1, 1]/(2-2e) -------------------------- *)

Definition witness (e : R) (p : parameter) : R :=
  match p with
  | Weight j 0 => (1 + e) * first_sign j
  | Weight j 1 => (1 - e) * second_sign j
  | Weight _ _ => 0
  | Output j => first_sign j * second_sign j / (2 - 2 * e)
  end.

Lemma witness_preactivation : forall d e j x, (2 <= d)%nat ->
  preactivation d (witness e) j x = (1 + e) * first_sign j * x 0%nat + (1 - e) * second_sign j * x 1%nat.
Proof.
  intros. unfold preactivation. rewrite <- (dot_two d) by auto. apply sum_ext. intros k _. destruct k as [|[|k]]; auto.
Qed.

Theorem witness_fits : forall d e, (2 <= d)%nat -> 0 < e < 1 ->
  (forall x, on_cube d x -> network 4 d (witness e) x = label x /\ off_kinks 4 d (witness e) x)
  /\ path_norm 4 d (witness e) = 2 * sqrt 2 * sqrt (1 + e ^ 2) / (1 - e).
Proof.
  intros d e D E. split.
  - intros x C. split.
    + unfold network. cbn [below seq Sum]. rewrite !witness_preactivation by auto. unfold witness, first_sign, second_sign, label.
      destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
      unfold relu, Rmax; repeat destruct (Rle_dec _ _); try lra; field; lra.
    + intros j J _. rewrite witness_preactivation by auto.
      destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
      destruct j as [|[|[|[|j]]]]; try lia; unfold first_sign, second_sign; lra.
  - assert (N : forall j, norm d (fun k => witness e (Weight j k)) = sqrt 2 * sqrt (1 + e ^ 2)).
    { intros j. rewrite <- sqrt_mult_alt by lra. unfold norm. f_equal.
      assert (S : first_sign j ^ 2 = 1 /\ second_sign j ^ 2 = 1) by (destruct j as [|[|[|j]]]; simpl; lra).
      transitivity (dot d (fun k => match k with 0%nat => ((1 + e) * first_sign j) ^ 2 | 1%nat => ((1 - e) * second_sign j) ^ 2 | _ => 0 end) (fun _ => 1)).
      - apply sum_ext. intros k _. destruct k as [|[|k]]; simpl; ring.
      - rewrite dot_two by auto. rewrite !Rpow_mult_distr. destruct S as [-> ->]. ring. }
    unfold path_norm. rewrite (sum_ext _ _ (fun j => / (2 - 2 * e) * (sqrt 2 * sqrt (1 + e ^ 2)))).
    + rewrite sum_const, length_below. simpl INR. field. lra.
    + intros j _. rewrite N. f_equal. unfold witness, Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ _)).
      * assert (H : Rabs (first_sign j * second_sign j) = 1).
        { destruct j as [|[|[|j]]]; unfold first_sign, second_sign; [rewrite Rabs_pos_eq|rewrite Rabs_left|rewrite Rabs_left|rewrite Rabs_pos_eq]; lra. }
        rewrite H. ring.
      * left. apply Rinv_0_lt_compat. lra.
Qed.
