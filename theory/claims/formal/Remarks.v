(* Owns small counterexamples of wen2023's appendix: corollary A.1, lemma A.5, and steps of the proofs of lemmas A.4, A.9 and A.19. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Flatproof Require Import Sums Calculus Networks Inequalities Parity Kinked.
Import ListNotations.
Open Scope R_scope.

(* Corollary A.1, R_S <= sqrt(4 VC ln n / n), at one point with the functions 0 and 1, of VC dimension 1: the complexity is 1/2, the bound 0. *)
Theorem one_point_refutes : let class (f : unit -> R) := f tt = 0 \/ f tt = 1 in
  (forall c, complexity_at_most class [tt] c <-> 1 / 2 <= c) /\ sqrt (4 * 1 * ln 1 / 1) = 0.
Proof.
  intros class. split.
  - assert (Lub : forall e v, is_lub (fun v => exists f, class f /\ v = / INR 1 * combine [e] (map f [tt])) v <-> v = Rmax 0 e).
    { intros e v.
      assert (Val : forall f : unit -> R, / INR 1 * combine [e] (map f [tt]) = e * f tt) by (intros; simpl; field).
      assert (Is : is_lub (fun v => exists f, class f /\ v = / INR 1 * combine [e] (map f [tt])) (Rmax 0 e)).
      { split.
        - intros u (f & C & ->). rewrite Val. destruct C as [-> | ->]; unfold Rmax; destruct (Rle_dec 0 e); lra.
        - intros b U. apply Rmax_lub.
          + apply U. exists (fun _ => 0). split; [left; auto|]. rewrite Val. ring.
          + apply U. exists (fun _ => 1). split; [right; auto|]. rewrite Val. ring. }
      split; [|intros ->; exact Is]. intros H. apply Rle_antisym; [apply H, Is|apply Is, H]. }
    intros c. unfold complexity_at_most. simpl length. cbn [signs map app].
    split.
    + intros (sup & L & B). assert (E1 := L [1] (or_introl eq_refl)). assert (E2 := L [- 1] (or_intror (or_introl eq_refl))).
      apply Lub in E1. apply Lub in E2. cbn [Sum] in B. rewrite E1, E2, Rmax_right, Rmax_left in B by lra. simpl in B. lra.
    + intros C. exists (fun s => match s with [e] => Rmax 0 e | _ => 0 end). split.
      * intros s [<-|[<-|[]]]; apply Lub; auto.
      * cbn [Sum]. rewrite Rmax_right, Rmax_left by lra. simpl. lra.
  - rewrite ln_1. unfold Rdiv. rewrite Rmult_0_r, Rmult_0_l. apply sqrt_0.
Qed.

(* (1/n) sum_i ||x_i||^2 1[w . x_i > 0]. *)
Definition active_share (d : nat) (xs : list point) (w : point) : R :=
  / INR (length xs) * Sum xs (fun x => squared_norm d x * step (dot d w x)).

(* Lemma A.5: w = 0 sees nothing, whatever the sample. *)
Theorem zero_direction_refutes : forall d xs, active_share d xs (fun _ => 0) = 0.
Proof.
  intros. unfold active_share. rewrite sum_zero; [ring|]. intros x _. replace (dot d (fun _ => 0) x) with 0.
  - unfold step. destruct (Rlt_dec 0 0); [lra|ring].
  - symmetry. apply sum_zero. intros. ring.
Qed.

(* Nor does w != 0 mend it: on the two blocks w = e_1 has a share of 1/2 in every dimension, below C1 d for large d. *)
Theorem one_block_refutes : forall C1, 0 < C1 -> exists d, (2 <= d)%nat
  /\ active_share d (two_blocks d) (fun k => if (k =? 0)%nat then 1 else 0) = 1 / 2
  /\ active_share d (two_blocks d) (fun k => if (k =? 0)%nat then 1 else 0) < C1 * INR d.
Proof.
  intros C1 P.
  assert (All : forall d, (2 <= d)%nat -> active_share d (two_blocks d) (fun k => if (k =? 0)%nat then 1 else 0) = 1 / 2).
  { intros d D. assert (Dt : forall x, dot d (fun k => if (k =? 0)%nat then 1 else 0) x = x 0%nat).
    { intros x. unfold dot. rewrite (sum_single _ _ 0%nat); [simpl; ring|apply nodup_below|apply in_below; lia|].
      intros k _ N. destruct k; [congruence|]. simpl. ring. }
    unfold active_share, two_blocks. rewrite app_length, !map_length, sum_app, !sum_map.
    rewrite (sum_zero (cube (d - 1)) (fun z => squared_norm d (second_block z) * _)).
    2: { intros z _. rewrite Dt. cbn [second_block]. unfold step. destruct (Rlt_dec 0 0); [lra|ring]. }
    rewrite (sum_ext (cube (d - 1)) _ (fun z => 1 + z 0%nat)).
    2: { intros z I. rewrite Dt. pose proof root_two. pose proof root_two_pos.
         replace (squared_norm d (first_block (z 0%nat))) with 2.
         - cbn [first_block]. destruct (cube_on_cube _ _ I 0%nat ltac:(lia)) as [-> | ->]; unfold step; destruct (Rlt_dec _ _); lra.
         - unfold squared_norm. rewrite (sum_single _ _ 0%nat); [|apply nodup_below|apply in_below; lia|].
           + destruct (cube_on_cube _ _ I 0%nat ltac:(lia)) as [E|E]; cbn [first_block]; rewrite E; nra.
           + intros k _ N. destruct k; [congruence|]. simpl. ring. }
    rewrite sum_plus, sum_const.
    assert (Bal : forall n, (1 <= n)%nat -> Sum (cube n) (fun z => z 0%nat) = 0).
    { intros n N. destruct n as [|n]; [lia|]. clear N. induction n as [|n IH].
      - simpl. unfold extend. simpl. ring.
      - change (cube (S (S n))) with (map (extend (S n) 1) (cube (S n)) ++ map (extend (S n) (- 1)) (cube (S n))).
        rewrite sum_app, !sum_map.
        rewrite (sum_ext (cube (S n)) (fun a => extend (S n) 1 a 0%nat) (fun z => z 0%nat)) by reflexivity.
        rewrite (sum_ext (cube (S n)) (fun a => extend (S n) (- 1) a 0%nat) (fun z => z 0%nat)) by reflexivity. rewrite IH. ring. }
    rewrite (Bal (d - 1)%nat) by lia. rewrite plus_INR.
    pose proof (length_cube (d - 1)) as Lc. unfold point in *. rewrite !Lc. assert (0 < 2 ^ (d - 1)) by (apply pow_lt; lra). field. lra. }
  destruct (archimed_cor1 C1 P) as (N & A & B).
  exists (S (S N)). split; [lia|]. rewrite All by lia. split; auto. rewrite !S_INR. assert (0 < INR N) by (apply lt_0_INR; auto).
  apply (Rmult_lt_compat_r (INR N)) in A; auto. rewrite Rinv_l in A by lra. nra.
Qed.

(* Lemma A.4's step, max ||x_i||^2 = O(sqrt d): on the cube ||x||^2 = d, above every multiple of sqrt d. *)
Theorem norm_step_refuted : forall C, exists d, forall x, on_cube d x -> C * sqrt (INR d) < squared_norm d x.
Proof.
  intros C. assert (M1 : 1 <= Rmax 1 C) by apply Rmax_l.
  destruct (archimed_cor1 (/ Rmax 1 C)) as (n & N0 & Pn); [apply Rinv_0_lt_compat; lra|].
  assert (N : Rmax 1 C < INR n).
  { apply Rnot_le_lt. intros H. apply Rinv_le_contravar in H; [lra|]. apply lt_0_INR. auto. }
  exists (n * n)%nat. intros x X. rewrite squared_norm_cube by auto. rewrite mult_INR.
  assert (1 < INR n) by (apply Rle_lt_trans with (2 := N); apply Rmax_l). assert (C < INR n) by (apply Rle_lt_trans with (2 := N); apply Rmax_r).
  rewrite sqrt_square by lra. apply Rmult_lt_compat_r; lra.
Qed.

(* Lemma A.9's step: with eps = 1/64 the lemma gives 129^d, not 128^d. *)
Theorem covering_step_refuted : 2 / (1 / 64) + 1 = 129 /\ 128 < 2 / (1 / 64) + 1.
Proof. split; [field|]. replace (2 / (1 / 64)) with 128 by field. lra. Qed.

(* Lemma A.19's step at d = 1, where the sphere is {-1, 1}: E v^4 = 1, printed 3/((d+2)(d+4)) = 1/5; and x = 1 or -1, which is 1-subgaussian,
   has E x^4 = 1, above the printed bound (e^(1/2) - 3/2) (d+2) (d+4) / 3. *)
Theorem fourth_moment_step_refuted : (1 ^ 4 + (- 1) ^ 4) / 2 = 1 /\ 3 / ((1 + 2) * (1 + 4)) = 1 / 5
  /\ (exp (1 / 2) - 3 / 2) * (1 + 2) * (1 + 4) / 3 < (1 ^ 4 + (- 1) ^ 4) / 2.
Proof.
  split; [field|]. split; [field|].
  assert (E : 15 / 16 <= exp (- (1 / 16))) by (pose proof (exp_ineq1 (- (1 / 16)) ltac:(lra)); lra).
  assert (P : exp (1 / 2) * exp (- (1 / 16)) ^ 8 = 1).
  { assert (Q : exp (- (1 / 16)) ^ 8 = exp (- (1 / 2))).
    { replace (- (1 / 2)) with (- (1 / 16) + (- (1 / 16) + (- (1 / 16) + (- (1 / 16) + (- (1 / 16) + (- (1 / 16) + (- (1 / 16) + - (1 / 16)))))))) by field.
      rewrite !exp_plus. ring. }
    rewrite Q, <- exp_plus. replace (1 / 2 + - (1 / 2)) with 0 by ring. apply exp_0. }
  assert (L : (15 / 16) ^ 8 <= exp (- (1 / 16)) ^ 8) by (apply pow_incr; lra).
  assert (X := exp_pos (1 / 2)). assert (H : exp (1 / 2) * (15 / 16) ^ 8 <= exp (1 / 2) * exp (- (1 / 16)) ^ 8) by (apply Rmult_le_compat_l; lra). rewrite P in H.
  assert (exp (1 / 2) < 17 / 10) by (simpl in H; lra). simpl. lra.
Qed.
