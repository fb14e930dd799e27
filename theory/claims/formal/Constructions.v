(* Owns printed constructions that fail: wen2023's equations 16 (proposition A.1) and 17 (proposition A.2), and lemma A.1's exact form. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Inequalities Parity BatchNorm Unseen.
Import ListNotations.
Open Scope R_scope.

(* --- equation 17 on a regular hexagon ----------------------------------------------------------------------------------------------------- *)

(* Six points of the unit circle, R = 1, y = 1. Neuron j has W1 = r w_j/(w_j.z_j), b1 = r (-w_j.v_j + w_j.z_j)/(w_j.z_j), W2 = 1/r, where
   w_j is perpendicular to the chord of the midpoints z_j, z_(j+1) of the arcs beside v_j: w_j = v_j, w_j.z_j = cos 30 degrees. *)
Definition hexagon (j : nat) : R * R :=
  match j with
  | 0 => (1, 0) | 1 => (1 / 2, sqrt 3 / 2) | 2 => (- (1 / 2), sqrt 3 / 2)
  | 3 => (- 1, 0) | 4 => (- (1 / 2), - (sqrt 3 / 2)) | _ => (1 / 2, - (sqrt 3 / 2))
  end.
Definition at_vertex (i : nat) : point := fun k => match k with 0 => fst (hexagon i) | 1 => snd (hexagon i) | _ => 1 end.
Definition equation_17 (r : R) (p : parameter) : R :=
  match p with
  | Weight j 0 => r * fst (hexagon j) / (sqrt 3 / 2)
  | Weight j 1 => r * snd (hexagon j) / (sqrt 3 / 2)
  | Weight _ _ => r * (- 1 + sqrt 3 / 2) / (sqrt 3 / 2)
  | Output _ => 1 / r
  end.

Theorem equation_17_does_not_interpolate : forall r, 0 < r ->
  network 6 3 (equation_17 r) (at_vertex 0) = 3 - 2 / sqrt 3 /\ 184 / 100 < network 6 3 (equation_17 r) (at_vertex 0).
Proof.
  intros r P. assert (S : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra). assert (S0 : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  set (s := sqrt 3) in *.
  assert (Lo : 1732 / 1000 < s) by nra. assert (Hi : s < 1733 / 1000) by nra.
  assert (Pre : forall j, preactivation 3 (equation_17 r) j (at_vertex 0) = r * ((fst (hexagon j) - 1 + s / 2) / (s / 2))).
  { intros j. unfold preactivation, dot, equation_17, at_vertex. cbn [below seq Sum hexagon fst snd]. fold s. field. lra. }
  assert (V : network 6 3 (equation_17 r) (at_vertex 0) = 3 - 2 / s).
  { unfold network. cbn [below seq Sum]. rewrite !Pre, !relu_scal by lra. cbn [hexagon fst snd equation_17].
    assert (Pos : forall v, 0 <= v -> 0 <= v / (s / 2)).
    { intros v V. unfold Rdiv at 1. apply Rmult_le_pos; auto. left. apply Rinv_0_lt_compat. lra. }
    assert (Neg : forall v, v <= 0 -> v / (s / 2) <= 0).
    { intros v V. assert (0 <= - v / (s / 2)) by (apply Pos; lra). unfold Rdiv in *. lra. }
    rewrite (relu_pos ((1 - 1 + s / 2) / (s / 2))) by (apply Pos; lra).
    rewrite !(relu_pos ((1 / 2 - 1 + s / 2) / (s / 2))) by (apply Pos; lra).
    rewrite !(relu_neg ((- (1 / 2) - 1 + s / 2) / (s / 2))) by (apply Neg; lra).
    rewrite (relu_neg ((- 1 - 1 + s / 2) / (s / 2))) by (apply Neg; lra). field. lra. }
  split; [exact V|]. rewrite V. apply Rmult_lt_reg_r with s; [lra|]. replace ((3 - 2 / s) * s) with (3 * s - 2) by (field; lra). lra.
Qed.

(* --- equation 16 --------------------------------------------------------------------------------------------------------------------------- *)

(* d = 1, v_1 = 1, v_2 = -1, w_j = v_j, R = 1, y = 1: W1_j = r v_j/eps, b1_j = r (-w_j.v_j + eps)/eps, W2_j = y_j/r; printed r^2 =
   |y| (R^2 + 1) = 2. *)
Definition equation_16 (square eps : R) (p : parameter) : R :=
  let v j := match j with 0%nat => 1 | _ => - 1 end in
  match p with
  | Weight j 0 => sqrt square * v j / eps
  | Weight j _ => sqrt square * (- 1 + eps) / eps
  | Output _ => 1 / sqrt square
  end.
Definition both_ends : samples := [((fun _ => 1), 1); ((fun _ => - 1), 1)].

Lemma equation_16_trace : forall square eps, 0 < square -> 0 < eps < 1 ->
  fits 2 1 (equation_16 square eps) both_ends /\ sharpness 2 1 (equation_16 square eps) both_ends = 2 * (2 / square + square).
Proof.
  intros square eps Sq E. assert (R0 : 0 < sqrt square) by (apply sqrt_lt_R0; auto). assert (R1 : sqrt square * sqrt square = square) by (apply sqrt_sqrt; lra).
  set (r := sqrt square) in *.
  assert (Pre : forall j x, preactivation 2 (equation_16 square eps) j (with_one 1 (fun _ => x))
    = r / eps * (match j with 0%nat => x | _ => - x end - 1 + eps)).
  { intros j x. unfold preactivation, dot, with_one. cbn [below seq Sum Nat.eqb equation_16]. fold r. destruct j; field; lra. }
  assert (Re : 0 < r / eps) by (apply Rdiv_lt_0_compat; lra).
  assert (Own : forall s i, In s both_ends -> fst s = (fun _ => match i with 0%nat => 1 | _ => - 1 end) -> (i < 2)%nat ->
     preactivation 2 (equation_16 square eps) i (with_one 1 (fst s)) = r
     /\ forall j, (j < 2)%nat -> j <> i -> preactivation 2 (equation_16 square eps) j (with_one 1 (fst s)) <= 0
        /\ (equation_16 square eps (Output j) <> 0 -> preactivation 2 (equation_16 square eps) j (with_one 1 (fst s)) < 0)).
  { intros s i _ F L. rewrite F. split.
    - rewrite Pre. destruct i as [|[|i]]; try lia; field; lra.
    - intros j J N. rewrite Pre. assert (match j with 0%nat => match i with 0%nat => 1 | _ => - 1 end | _ => - match i with 0%nat => 1 | _ => - 1 end end - 1 + eps < 0).
      { destruct i as [|[|i]], j as [|[|j]]; try lia; lra. }
      split; intros; nra. }
  assert (Each : forall s, In s both_ends -> exists i, (i < 2)%nat /\ fst s = (fun _ => match i with 0%nat => 1 | _ => - 1 end) /\ snd s = 1).
  { intros s [<-|[<-|[]]]; [exists 0%nat|exists 1%nat]; split; auto. }
  assert (F : fits 2 1 (equation_16 square eps) both_ends).
  { split; intros s' I; unfold primed in I; apply in_map_iff in I; destruct I as (s & <- & I); cbn [fst snd];
    destruct (Each s I) as (i & L & Fs & Ys); destruct (Own s i I Fs L) as [A B].
    - apply smooth_with_one. apply alone_off_kinks with i; auto. rewrite A. lra.
    - rewrite (alone_output 2 2 _ _ i); auto; [|rewrite A; lra]. rewrite A, Ys. cbn [equation_16]. fold r. field. lra. }
  split; auto. rewrite sharpness_of by auto. rewrite (sum_ext _ _ (fun _ => 2 / square + square)).
  - unfold both_ends. cbn [Sum length INR]. field. lra.
  - intros s I. destruct (Each s I) as (i & L & Fs & Ys). destruct (Own s i I Fs L) as [A B].
    rewrite (alone_gradient 2 2 _ _ i); auto; [|rewrite A; lra]. rewrite A, norm_square, Fs, squared_norm_with_one.
    unfold squared_norm. cbn [below seq Sum equation_16]. fold r. replace (r ^ 2) with square by (rewrite <- R1; ring).
    destruct i; field_simplify; try lra; rewrite <- ?R1; field; lra.
Qed.

(* With the printed r^2 = 2 the trace is 6, with the corrected r^2 = sqrt 2 it is 4 sqrt 2, the least of every width. *)
Theorem printed_scale_of_16_refuted : forall eps, 0 < eps < 1 ->
  fits 2 1 (equation_16 2 eps) both_ends /\ sharpness 2 1 (equation_16 2 eps) both_ends = 6
  /\ flattest 2 1 (equation_16 (sqrt 2) eps) both_ends /\ sharpness 2 1 (equation_16 (sqrt 2) eps) both_ends = 4 * sqrt 2
  /\ 4 * sqrt 2 < 6.
Proof.
  intros eps E. assert (S : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra). assert (S0 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra).
  destruct (equation_16_trace 2 eps ltac:(lra) E) as [F T]. destruct (equation_16_trace (sqrt 2) eps S0 E) as [F' T'].
  assert (V : 2 * (2 / sqrt 2 + sqrt 2) = 4 * sqrt 2).
  { replace (2 / sqrt 2) with (sqrt 2); [ring|]. rewrite <- S at 2. field. lra. }
  rewrite V in T'. split; [auto|]. split; [rewrite T; field|]. split; [|split; [auto|nra]].
  split; auto. intros m' theta' Fo. rewrite T'. eapply Rle_trans; [|apply (trace_lower_bound m' 1 theta' both_ends Fo)].
  assert (N : forall s, In s both_ends -> norm 2 (with_one 1 (fst s)) * Rabs (snd s) = sqrt 2).
  { intros s I. unfold norm. rewrite squared_norm_with_one. destruct I as [<-|[<-|[]]]; unfold squared_norm; simpl; rewrite Rabs_R1, Rmult_1_r; f_equal; ring. }
  rewrite (sum_ext _ _ _ N). rewrite sum_const. unfold both_ends. cbn [length INR]. right. field.
Qed.

(* Where the separating direction is not v_j itself, the printed value at v_j is not r: v_j = 1, w_j = -1. *)
Theorem printed_direction_of_16_refuted : forall r eps, 0 < r -> 0 < eps -> let v := 1 in let w := - 1 in
  r * v / eps * v + r * (- (w * v) + eps) / eps = r * (2 + eps) / eps /\ r < r * (2 + eps) / eps.
Proof.
  intros r eps R E v w. unfold v, w. split; [field; lra|].
  replace (r * (2 + eps) / eps) with (r + 2 * r / eps) by (field; lra).
  assert (0 < 2 * r / eps) by (apply Rdiv_lt_0_compat; lra). lra.
Qed.

(* --- lemma A.1: a neuron that does not count ------------------------------------------------------------------------------------------------ *)

(* d = 3, all eight points, width 5: lemma A.1's four neurons and one with W1 = (0, 0, 1), b1 = 0, W2 = gamma = 0. *)
Definition uncounted (w : bn_parameter) : R :=
  match w with
  | W 4 k => if (k =? 2)%nat then 1 else 0
  | W j k => head_weight 3 (first_sign j) (second_sign j) (- 1) k
  | Gain 4 => 0
  | Gain _ => sqrt (1 / 2)
  | Out 4 => 0
  | Out j => first_sign j * second_sign j * sqrt (1 / 2)
  end.
Definition both_tails : list point := [(fun _ => 1); (fun _ => - 1)].

Theorem uncounted_neuron_refutes : bn_fits 5 3 uncounted (complete both_tails)
  /\ Sum (below 5) (fun j => Rabs (uncounted (Out j) * uncounted (Gain j))) = 2 /\ uncounted (W 4 2) = 1.
Proof.
  assert (R : sqrt (1 / 2) * sqrt (1 / 2) = 1 / 2) by (apply sqrt_sqrt; lra).
  assert (PreH : forall j x, (j < 4)%nat -> pre 4 uncounted j (with_one 3 x) = first_sign j * x 0%nat + second_sign j * x 1%nat - 1).
  { intros j x J. transitivity (dot 4 (head_weight 3 (first_sign j) (second_sign j) (- 1)) (with_one 3 x)).
    - unfold pre. f_equal. apply functional_extensionality. intros k. destruct j as [|[|[|[|j]]]]; try lia; reflexivity.
    - rewrite head_preactivation by lia. ring. }
  assert (PreT : forall x, pre 4 uncounted 4 (with_one 3 x) = x 2%nat) by (intros; unfold pre, dot, with_one; simpl; ring).
  assert (Sh : forall j, (j < 4)%nat -> size 4 (inputs 3 (complete both_tails)) uncounted j = 1 / 2).
  { intros j J. unfold size, mean_square_of. rewrite sum_inputs_complete, length_inputs.
    rewrite (sum_ext both_tails _ (fun _ => 1)).
    - rewrite length_complete. cbn [Sum both_tails length INR].
      replace (/ (4 * (1 + 1)) * (1 + (1 + 0))) with (1 / 2 * (1 / 2)) by field. apply sqrt_square. lra.
    - intros s _. unfold four. cbn [Sum fst]. rewrite !PreH by auto. cbn [with_head].
      destruct j as [|[|[|[|j]]]]; try lia; cbn [first_sign second_sign]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra. }
  assert (St : 0 < size 4 (inputs 3 (complete both_tails)) uncounted 4).
  { unfold size, mean_square_of. rewrite sum_inputs_complete, length_inputs. unfold four. cbn [Sum both_tails fst].
    rewrite !PreT. cbn [with_head]. rewrite (relu_pos 1), (relu_neg (- 1)) by lra.
    rewrite length_complete. apply sqrt_lt_R0. apply Rmult_lt_0_compat; [apply Rinv_0_lt_compat; simpl; lra|simpl; lra]. }
  assert (Al : alive 5 4 (inputs 3 (complete both_tails)) uncounted).
  { intros j J. destruct (Nat.eq_dec j 4) as [->|N]; auto. rewrite Sh by lia. lra. }
  split; [split; [exact Al|split]|split].
  - apply bn_smooth; [exact Al|]. intros j x J I. destruct (in_complete _ _ _ I) as (s & p & q & Is & Hp & Hq & ->).
    destruct (Nat.eq_dec j 4) as [->|N].
    + rewrite PreT. cbn [with_head]. destruct Is as [<-|[<-|[]]]; lra.
    + rewrite PreH by lia. cbn [with_head]. destruct j as [|[|[|[|j]]]]; try lia; destruct Hp as [->| ->], Hq as [->| ->]; cbn [first_sign second_sign]; lra.
  - intros e Ie. destruct (primed_complete _ _ _ Ie) as (s & p & q & Is & Hp & Hq & -> & ->).
    unfold bn_model, batch_norm, normalized. cbn [below seq Sum].
    rewrite (Sh 0%nat), (Sh 1%nat), (Sh 2%nat), (Sh 3%nat) by lia. rewrite !PreH by lia. cbn [with_head uncounted first_sign second_sign].
    set (r := sqrt (1 / 2)) in *.
    transitivity (r * r * / (1 / 2) * (relu (1 * p + 1 * q - 1) - relu (1 * p + - 1 * q - 1) - relu (- 1 * p + 1 * q - 1) + relu (- 1 * p + - 1 * q - 1)));
      [ring|]. rewrite R. destruct Hp as [->| ->], Hq as [->| ->]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
  - cbn [below seq Sum uncounted first_sign second_sign]. set (r := sqrt (1 / 2)) in *.
    assert (E : forall c, Rabs (c * r * r) = Rabs c * (1 / 2)) by (intros; rewrite Rmult_assoc, R, Rabs_mult; f_equal; apply Rabs_pos_eq; lra).
    rewrite !E, Rmult_0_r, Rabs_R0. rewrite (Rabs_pos_eq (1 * 1)), (Rabs_left (1 * - 1)), (Rabs_left (- 1 * 1)), (Rabs_pos_eq (- 1 * - 1)) by lra. lra.
  - reflexivity.
Qed.
