(* Owns wen2023/lemma-A.24: the Rademacher complexity of two-layer networks without bias of bounded path norm, by contraction. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Flatproof Require Import Sums Calculus Networks Inequalities Parity Kinks.
Import ListNotations.
Open Scope R_scope.

(* --- suprema over the unit ball -------------------------------------------------------------------------------------------------------- *)

Definition in_ball (d : nat) (u : point) : Prop := squared_norm d u <= 1.
Definition bounded (d : nat) (F : point -> R) : Prop := exists M, forall u, in_ball d u -> F u <= M.
Definition is_sup (d : nat) (F : point -> R) (m : R) : Prop := is_lub (fun v => exists u, in_ball d u /\ v = F u) m.

Lemma zero_in_ball : forall d, in_ball d (fun _ => 0).
Proof. intros. unfold in_ball, squared_norm. rewrite sum_zero; [lra|]. intros. ring. Qed.

Lemma sup_exists : forall d F, bounded d F -> { m | is_sup d F m }.
Proof.
  intros d F B. apply completeness.
  - destruct B as (M & H). exists M. intros v (u & U & ->). auto.
  - exists (F (fun _ => 0)), (fun _ => 0). split; [apply zero_in_ball|auto].
Qed.

Lemma sup_upper : forall d F m u, is_sup d F m -> in_ball d u -> F u <= m.
Proof. intros d F m u [U _] B. apply U. exists u. auto. Qed.

Lemma sup_least : forall d F m M, is_sup d F m -> (forall u, in_ball d u -> F u <= M) -> m <= M.
Proof. intros d F m M [_ L] H. apply L. intros v (u & U & ->). auto. Qed.

(* Two suprema together: any bound of all pairs bounds them. *)
Lemma sup_pair : forall d F G m m' M, is_sup d F m -> is_sup d G m' ->
  (forall u v, in_ball d u -> in_ball d v -> F u + G v <= M) -> m + m' <= M.
Proof.
  intros d F G m m' M HF HG H. assert (m <= M - m'); [|lra]. apply (sup_least d F); auto. intros u U.
  assert (m' <= M - F u); [|lra]. apply (sup_least d G); auto. intros v V. specialize (H u v U V). lra.
Qed.

(* --- contraction -------------------------------------------------------------------------------------------------------------------------- *)

(* relu is 1-Lipschitz: exchanging the two points, the difference of the relus is at most that of b. *)
Lemma two_signs : forall d (F b : point -> R) m1 m2 l1 l2,
  is_sup d (fun u => F u + relu (b u)) m1 -> is_sup d (fun u => F u - relu (b u)) m2 ->
  is_sup d (fun u => F u + b u) l1 -> is_sup d (fun u => F u - b u) l2 -> m1 + m2 <= l1 + l2.
Proof.
  intros d F b m1 m2 l1 l2 M1 M2 L1 L2. apply (sup_pair d _ _ m1 m2 _ M1 M2). intros u v U V.
  assert (Lip : relu (b u) - relu (b v) <= Rabs (b u - b v)).
  { unfold relu, Rmax, Rabs. destruct (Rle_dec 0 (b u)), (Rle_dec 0 (b v)), (Rcase_abs (b u - b v)); lra. }
  pose proof (sup_upper d _ _ u L1 U) as A1. pose proof (sup_upper d _ _ v L1 V) as A2.
  pose proof (sup_upper d _ _ u L2 U) as A3. pose proof (sup_upper d _ _ v L2 V) as A4. cbv beta in *.
  unfold Rabs in Lip. destruct (Rcase_abs (b u - b v)); lra.
Qed.

Definition values (g : R -> R) (d : nat) (xs : list point) (u : point) : list R := map (fun x => g (dot d u x)) xs.

Lemma dot_bound : forall d u x, in_ball d u -> Rabs (dot d u x) <= norm d x.
Proof.
  intros d u x U. apply Rabs_le. split.
  - assert (dot d (fun k => - u k) x <= norm d x).
    { apply dot_le_norm. unfold squared_norm. rewrite (sum_ext _ _ (fun k => u k ^ 2)) by (intros; ring). exact U. }
    replace (dot d (fun k => - u k) x) with (- dot d u x) in H; [lra|].
    unfold dot. rewrite <- sum_opp. apply sum_ext. intros. ring.
  - apply dot_le_norm. exact U.
Qed.

Lemma combine_bound : forall d xs s u (g : R -> R), (forall z, Rabs (g z) <= Rabs z) -> in_ball d u -> In s (signs (length xs)) ->
  Rabs (combine s (values g d xs u)) <= Sum xs (norm d).
Proof.
  induction xs as [|x xs IH]; intros s u g G U I; simpl in I.
  - destruct I as [<-|[]]. simpl. rewrite Rabs_R0. lra.
  - apply in_app_iff in I. cbn [Sum]. assert (B : Rabs (g (dot d u x)) <= norm d x).
    { eapply Rle_trans; [apply G|apply dot_bound; auto]. }
    destruct I as [I|I]; apply in_map_iff in I; destruct I as (s' & <- & I); cbn [values map combine];
      specialize (IH s' u g G U I); unfold values in IH;
      (eapply Rle_trans; [apply Rabs_triang|]); rewrite Rabs_mult;
      [rewrite Rabs_R1|rewrite (Rabs_left (- 1)) by lra]; lra.
Qed.

Lemma relu_abs : forall z, Rabs (relu z) <= Rabs z.
Proof. intros. unfold relu, Rmax, Rabs. destruct (Rle_dec 0 z); repeat destruct (Rcase_abs _); lra. Qed.

(* For every bounded F: the mean over the signs of sup (F + sum_i s_i relu(u.x_i)) is at most that with u.x_i alone. *)
Lemma contraction : forall d xs F (p q : list R -> R), bounded d F ->
  (forall s, In s (signs (length xs)) -> is_sup d (fun u => F u + combine s (values relu d xs u)) (p s)) ->
  (forall s, In s (signs (length xs)) -> is_sup d (fun u => F u + combine s (values (fun z => z) d xs u)) (q s)) ->
  Sum (signs (length xs)) p <= Sum (signs (length xs)) q.
Proof.
  induction xs as [|x xs IH]; intros F p q B P Q.
  - simpl. specialize (P [] (or_introl eq_refl)). specialize (Q [] (or_introl eq_refl)). simpl in P, Q.
    assert (p [] <= q []); [|lra]. apply (sup_least d _ _ _ P). intros u U. apply (sup_upper d _ _ u Q U).
  - cbn [length signs] in *. rewrite !sum_app, !sum_map.
    set (S0 := signs (length xs)) in *.
    assert (In1 : forall s, In s S0 -> In (1 :: s) (map (cons 1) S0 ++ map (cons (- 1)) S0)) by (intros; apply in_app_iff; left; apply in_map; auto).
    assert (In2 : forall s, In s S0 -> In (- 1 :: s) (map (cons 1) S0 ++ map (cons (- 1)) S0)) by (intros; apply in_app_iff; right; apply in_map; auto).
    assert (Bd : forall c s, Rabs c <= 1 -> In s S0 -> bounded d (fun u => F u + c * dot d u x + combine s (values relu d xs u))).
    { intros c s C I. destruct B as (M & H). exists (M + norm d x + Sum xs (norm d)). intros u U.
      pose proof (combine_bound d xs s u relu relu_abs U I) as Bc. pose proof (dot_bound d u x U) as Bx. specialize (H u U).
      pose proof (Rle_abs (combine s (values relu d xs u))). pose proof (Rle_abs (c * dot d u x)). rewrite Rabs_mult in H1.
      assert (Rabs c * Rabs (dot d u x) <= 1 * norm d x) by (apply Rmult_le_compat; auto using Rabs_pos). lra. }
    (* sums over the other signs, with F + u.x and F - u.x *)
    assert (Mid : forall c, Rabs c <= 1 -> exists r : list R -> R, forall s, In s S0 ->
       is_sup d (fun u => F u + c * dot d u x + combine s (values relu d xs u)) (r s)).
    { intros c C.
      assert (Dec : forall s, {In s S0} + {~ In s S0}) by (intros s; apply in_dec; apply list_eq_dec; apply Req_EM_T).
      exists (fun s => match Dec s with left J => proj1_sig (sup_exists d _ (Bd c s C J)) | right _ => 0 end).
      intros s I. destruct (Dec s) as [I'|N]; [|contradiction]. apply (proj2_sig (sup_exists d _ (Bd c s C I'))). }
    assert (C1 : Rabs 1 <= 1) by (rewrite Rabs_R1; lra). assert (C2 : Rabs (- 1) <= 1) by (rewrite Rabs_left; lra).
    destruct (Mid 1 C1) as (r1 & R1). destruct (Mid (- 1) C2) as (r2 & R2).
    assert (Ext : forall G H m, (forall u, G u = H u) -> is_sup d G m -> is_sup d H m).
    { intros G H m E Hm. replace H with G; auto. apply functional_extensionality. auto. }
    apply Rle_trans with (Sum S0 r1 + Sum S0 r2).
    + rewrite <- !sum_plus. apply sum_le. intros s I.
      apply (two_signs d (fun u => F u + combine s (values relu d xs u)) (fun u => dot d u x)).
      * apply Ext with (2 := P _ (In1 s I)). intros u. cbn [values map combine]. unfold values. ring.
      * apply Ext with (2 := P _ (In2 s I)). intros u. cbn [values map combine]. unfold values. ring.
      * apply Ext with (2 := R1 s I). intros u. ring.
      * apply Ext with (2 := R2 s I). intros u. ring.
    + assert (BF : forall c, Rabs c <= 1 -> bounded d (fun u => F u + c * dot d u x)).
      { intros c C. destruct B as (M & H). exists (M + norm d x). intros u U. pose proof (dot_bound d u x U) as Bx. specialize (H u U).
        pose proof (Rle_abs (c * dot d u x)). rewrite Rabs_mult in H0.
        assert (Rabs c * Rabs (dot d u x) <= 1 * norm d x) by (apply Rmult_le_compat; auto using Rabs_pos). lra. }
      apply Rplus_le_compat.
      * apply (IH (fun u => F u + 1 * dot d u x) r1 (fun s => q (1 :: s)) (BF 1 C1) R1).
        intros s I. apply Ext with (2 := Q _ (In1 s I)). intros u. cbn [values map combine]. unfold values. ring.
      * apply (IH (fun u => F u + - 1 * dot d u x) r2 (fun s => q (- 1 :: s)) (BF (- 1) C2) R2).
        intros s I. apply Ext with (2 := Q _ (In2 s I)). intros u. cbn [values map combine]. unfold values. ring.
Qed.

(* --- lemma A.24 ------------------------------------------------------------------------------------------------------------------------------ *)

Definition bounded_path (d : nat) (C : R) (f : point -> R) : Prop :=
  exists m theta, path_norm m d theta <= C /\ forall x, f x = network m d theta x.

Lemma combine_sum : forall {A} (l : list A) (c : A -> R) (g : A -> point -> R) s (xs : list point),
  combine s (map (fun x => Sum l (fun a => c a * g a x)) xs) = Sum l (fun a => c a * combine s (map (g a) xs)).
Proof.
  intros A l c g. induction s as [|e s IH]; intros [|x xs]; cbn [map combine]; try (rewrite sum_zero; intros; ring).
  rewrite IH, <- sum_scal, <- sum_plus. apply sum_ext. intros. ring.
Qed.

Lemma combine_scal : forall s v c, combine s (map (fun a => c * a) v) = c * combine s v.
Proof. induction s as [|e s IH]; intros [|a v] c; cbn [map combine]; try ring. rewrite IH. ring. Qed.

Lemma sum_signs_opp : forall n (G : list R -> R), Sum (signs n) (fun s => G (map Ropp s)) = Sum (signs n) G.
Proof.
  induction n as [|n IH]; intros G; cbn [signs].
  - reflexivity.
  - rewrite !sum_app, !sum_map. cbn [map].
    rewrite (IH (fun s => G (Ropp 1 :: s))), (IH (fun s => G (Ropp (- 1) :: s))). rewrite Rplus_comm.
    replace (Ropp (- 1)) with 1 by ring. replace (Ropp 1) with (- 1) by ring. auto.
Qed.

Lemma combine_opp : forall s v, combine (map Ropp s) v = - combine s v.
Proof. induction s as [|e s IH]; intros [|a v]; cbn [map combine]; try ring. rewrite IH. ring. Qed.

Lemma signs_opp : forall n s, In s (signs n) -> In (map Ropp s) (signs n).
Proof.
  induction n as [|n IH]; intros s I; cbn [signs] in *.
  - destruct I as [<-|[]]. left. auto.
  - apply in_app_iff in I. apply in_app_iff. destruct I as [I|I]; apply in_map_iff in I; destruct I as (s' & <- & I).
    + right. apply in_map_iff. exists (map Ropp s'). split; [|auto]. cbn [map]. f_equal; ring.
    + left. apply in_map_iff. exists (map Ropp s'). split; [|auto]. cbn [map]. f_equal; ring.
Qed.

(* wen2023/lemma-A.24: R_S <= 2 C B / sqrt n when ||x_i|| <= B; networks of every width. *)
Theorem network_complexity : forall d xs C B, 0 <= C -> 0 <= B -> xs <> [] -> (forall x, In x xs -> norm d x <= B) ->
  complexity_at_most (bounded_path d C) xs (2 * C * B / sqrt (INR (length xs))).
Proof.
  intros d xs C B HC HB NE Bx. set (n := length xs).
  assert (Pn : 0 < INR n) by (apply lt_0_INR; unfold n; destruct xs; [congruence|simpl; lia]).
  assert (Pi : 0 < / INR n) by (apply Rinv_0_lt_compat; auto).
  (* the supremum over one unit neuron of sum_i s_i relu(u.x_i) *)
  assert (Dec : forall s, {In s (signs n)} + {~ In s (signs n)}) by (intros s; apply in_dec; apply list_eq_dec; apply Req_EM_T).
  assert (Bd : forall g, (forall z, Rabs (g z) <= Rabs z) -> forall s, In s (signs n) -> bounded d (fun u => 0 + combine s (values g d xs u))).
  { intros g G s I. exists (Sum xs (norm d)). intros u U. pose proof (combine_bound d xs s u g G U I). pose proof (Rle_abs (combine s (values g d xs u))). lra. }
  set (sup g G s := match Dec s with left J => proj1_sig (sup_exists d _ (Bd g G s J)) | right _ => 0 end).
  assert (Sup : forall g G s, In s (signs n) -> is_sup d (fun u => 0 + combine s (values g d xs u)) (sup g G s)).
  { intros g G s I. unfold sup. destruct (Dec s) as [I'|N]; [|contradiction]. apply (proj2_sig (sup_exists d _ (Bd g G s I'))). }
  assert (Gi : forall z, Rabs ((fun z : R => z) z) <= Rabs z) by (intros; apply Rle_refl).
  set (p := sup relu relu_abs). set (q := sup (fun z => z) Gi).
  assert (P0 : forall s, In s (signs n) -> 0 <= p s).
  { intros s I. pose proof (sup_upper d _ _ _ (Sup relu relu_abs s I) (zero_in_ball d)) as H. cbv beta in H.
    replace (combine s (values relu d xs (fun _ => 0))) with 0 in H; [unfold p; lra|].
    unfold values. replace (map (fun x => relu (dot d (fun _ => 0) x)) xs) with (map (fun _ : point => 0) xs).
    - clear. revert xs. induction s as [|e s IH]; intros [|x xs]; cbn [map combine]; auto. rewrite <- IH. ring.
    - apply map_ext. intros x. rewrite relu_neg; auto. right. apply sum_zero. intros. ring. }
  (* one neuron of any length *)
  assert (One : forall w s, In s (signs n) -> Rabs (combine s (map (fun x => relu (dot d w x)) xs)) <= norm d w * (p s + p (map Ropp s))).
  { intros w s I. pose proof (P0 s I). pose proof (P0 _ (signs_opp _ _ I)).
    destruct (Req_dec (norm d w) 0) as [Z|N].
    - replace (map (fun x => relu (dot d w x)) xs) with (map (fun a => 0 * a) (map (fun _ : point => 1) xs)).
      + rewrite combine_scal, Rmult_0_l, Rabs_R0, Z. lra.
      + rewrite map_map. apply map_ext. intros x. pose proof (cauchy_dot d w x) as Cd. rewrite <- norm_square, Z in Cd.
        assert (dot d w x = 0) by nra. rewrite H1, relu_pos; lra.
    - assert (Pw : 0 < norm d w) by (pose proof (norm_nonneg d w); lra).
      set (u := fun k => / norm d w * w k).
      assert (U : in_ball d u).
      { unfold in_ball, u, squared_norm. rewrite (sum_ext _ _ (fun k => (/ norm d w) ^ 2 * w k ^ 2)) by (intros; ring). rewrite sum_scal.
        fold (squared_norm d w). rewrite <- norm_square. right. field. lra. }
      assert (E : map (fun x => relu (dot d w x)) xs = map (fun a => norm d w * a) (values relu d xs u)).
      { unfold values. rewrite map_map. apply map_ext. intros x. rewrite <- relu_scal by lra. f_equal.
        unfold dot, u. rewrite <- sum_scal. apply sum_ext. intros. field. lra. }
      rewrite E, combine_scal, Rabs_mult, (Rabs_pos_eq (norm d w)) by lra. apply Rmult_le_compat_l; [lra|].
      pose proof (sup_upper d _ _ u (Sup relu relu_abs s I) U) as A1.
      pose proof (sup_upper d _ _ u (Sup relu relu_abs _ (signs_opp _ _ I)) U) as A2. cbv beta in A1, A2. rewrite combine_opp in A2.
      fold p in A1, A2. apply Rabs_le. lra. }
  (* the supremum over the class *)
  assert (Class : forall s f, In s (signs n) -> bounded_path d C f -> / INR n * combine s (map f xs) <= / INR n * (C * (p s + p (map Ropp s)))).
  { intros s f I (m & theta & Pc & F). apply Rmult_le_compat_l; [lra|].
    assert (Ps : 0 <= p s + p (map Ropp s)) by (pose proof (P0 s I); pose proof (P0 _ (signs_opp _ _ I)); lra).
    apply Rle_trans with (path_norm m d theta * (p s + p (map Ropp s))); [|apply Rmult_le_compat_r; auto].
    replace (map f xs) with (map (fun x => Sum (below m) (fun j => theta (Output j) * relu (dot d (fun k => theta (Weight j k)) x))) xs)
      by (apply map_ext; intros; rewrite F; auto).
    rewrite (combine_sum (below m) (fun j => theta (Output j)) (fun j x => relu (dot d (fun k => theta (Weight j k)) x))).
    unfold path_norm. rewrite <- sum_scal_r. apply sum_le. intros j _.
    eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_mult, Rmult_assoc. apply Rmult_le_compat_l; [apply Rabs_pos|]. apply One. auto. }
  assert (Some : bounded_path d C (fun _ => 0)).
  { exists 0%nat, (fun _ => 0). split; [unfold path_norm; simpl; lra|]. intros. reflexivity. }
  assert (Lub : forall s, In s (signs n) -> { m | is_lub (fun v => exists f, bounded_path d C f /\ v = / INR n * combine s (map f xs)) m }).
  { intros s I. apply completeness.
    - exists (/ INR n * (C * (p s + p (map Ropp s)))). intros v (f & K & ->). auto.
    - exists (/ INR n * combine s (map (fun _ => 0) xs)), (fun _ => 0). auto. }
  exists (fun s => match Dec s with left J => proj1_sig (Lub s J) | right _ => 0 end). fold n. split.
  - intros s I. destruct (Dec s) as [I'|N]; [|contradiction]. apply (proj2_sig (Lub s I')).
  - assert (P2 : 0 < 2 ^ n) by (apply pow_lt; lra).
    assert (T1 : Sum (signs n) (fun s => match Dec s with left J => proj1_sig (Lub s J) | right _ => 0 end)
       <= / INR n * C * (2 * Sum (signs n) p)).
    { apply Rle_trans with (Sum (signs n) (fun s => / INR n * C * (p s + p (map Ropp s)))).
      - apply sum_le. intros s I. destruct (Dec s) as [I'|N]; [|contradiction]. destruct (proj2_sig (Lub s I')) as [_ L]. apply L.
        intros v (f & K & ->). rewrite Rmult_assoc. auto.
      - rewrite sum_scal, sum_plus, (sum_signs_opp n p). right. ring. }
    assert (T2 : Sum (signs n) p <= Sum (signs n) q).
    { apply (contraction d xs (fun _ => 0)); [exists 0; intros; lra| |]; intros s I; apply Sup; auto. }
    (* the linear class, as in lemma A.25 *)
    assert (T3 : Sum (signs n) q <= 2 ^ n * (B * sqrt (INR n))).
    { apply Rle_trans with (Sum (signs n) (fun s => norm d (combination s xs))).
      - apply sum_le. intros s I. apply (sup_least d _ _ _ (Sup _ Gi s I)). intros u U. rewrite Rplus_0_l.
        change (values (fun z => z) d xs u) with (map (dot d u) xs). rewrite combine_dot. apply dot_le_norm. exact U.
      - set (T := Sum (signs n) (fun s => norm d (combination s xs))).
        assert (Sq : T ^ 2 <= (2 ^ n * (B * sqrt (INR n))) ^ 2).
        { unfold T. eapply Rle_trans; [apply sum_square_le|]. rewrite length_signs.
          rewrite (sum_ext _ _ (fun s => squared_norm d (fun k => 0 + combination s xs k))).
          2: { intros. rewrite norm_square. apply sum_ext. intros. ring. }
          unfold n. rewrite (mean_square d xs (fun _ => 0)). fold n.
          replace (squared_norm d (fun _ => 0)) with 0 by (symmetry; apply sum_zero; intros; ring).
          assert (Sum xs (squared_norm d) <= INR n * B ^ 2).
          { unfold n. rewrite <- sum_const. apply sum_le. intros x I. rewrite <- norm_square. specialize (Bx x I). pose proof (norm_nonneg d x). nra. }
          replace ((2 ^ n * (B * sqrt (INR n))) ^ 2) with (2 ^ n * (2 ^ n * (sqrt (INR n) * sqrt (INR n) * B ^ 2))) by ring.
          rewrite sqrt_sqrt by lra. rewrite Rplus_0_l. apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_l; lra. }
        assert (0 <= 2 ^ n * (B * sqrt (INR n))) by (apply Rmult_le_pos; [lra|]; apply Rmult_le_pos; auto; apply sqrt_pos).
        destruct (Rle_dec T (2 ^ n * (B * sqrt (INR n)))); auto. nra. }
    apply Rle_trans with (/ 2 ^ n * (/ INR n * C * (2 * (2 ^ n * (B * sqrt (INR n)))))).
    + apply Rmult_le_compat_l; [left; apply Rinv_0_lt_compat; auto|]. eapply Rle_trans; [exact T1|].
      apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|]. lra.
    + right. rewrite <- (sqrt_sqrt (INR n)) at 1 by lra. assert (0 < sqrt (INR n)) by (apply sqrt_lt_R0; auto). field. lra.
Qed.

(* wen2023/lemma-3.1, its complexity: on the cube ||x|| = sqrt d. *)
Theorem cube_complexity : forall d xs C, 0 <= C -> xs <> [] -> (forall x, In x xs -> on_cube d x) ->
  complexity_at_most (bounded_path d C) xs (2 * C * sqrt (INR d / INR (length xs))).
Proof.
  intros d xs C HC NE Cu.
  assert (Pn : 0 < INR (length xs)) by (apply lt_0_INR; destruct xs; [congruence|simpl; lia]).
  rewrite sqrt_div_alt by auto. unfold Rdiv. rewrite <- Rmult_assoc.
  apply (network_complexity d xs C (sqrt (INR d)) HC (sqrt_pos _) NE).
  intros x I. unfold norm. rewrite squared_norm_cube by auto. lra.
Qed.
