(* Owns what fails of wen2023/lemma-A.11 where relu'(0) = 0 is read into the printed trace: two blocks of which a neuron sees one. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks Parity.
Import ListNotations.
Open Scope R_scope.

(* (2/n) sum_i of the squared gradient norm with 1[z > 0] for the derivative of relu, at a kink too. *)
Definition conventional_trace (m d : nat) (theta : parameter -> R) (xs : list point) : R :=
  2 / INR (length xs) * Sum xs (fun x => Sum (below m) (fun j => (theta (Output j) * step (preactivation d theta j x)) ^ 2) * squared_norm d x
    + Sum (below m) (fun j => relu (preactivation d theta j x) ^ 2)).

(* ||W1||^2 + d ||W2||^2. *)
Definition weighted_norms (m d : nat) (theta : parameter -> R) : R :=
  Sum (below m) (fun j => Sum (below d) (fun k => theta (Weight j k) ^ 2)) + INR d * Sum (below m) (fun j => theta (Output j) ^ 2).

(* The law as a sample: (sqrt 2 s, 0, ..., 0) with s = 1, -1, as often each as makes up half of it, and (0, sqrt 2 z) for all signs z. *)
Definition first_block (s : R) : point := fun k => match k with 0 => sqrt 2 * s | _ => 0 end.
Definition second_block (z : point) : point := fun k => match k with 0 => 0 | S i => sqrt 2 * z i end.
Definition two_blocks (d : nat) : list point :=
  map (fun z => first_block (z 0%nat)) (cube (d - 1)) ++ map second_block (cube (d - 1)).

(* W1 = (e_1, -e_1), W2 = (1, 1): the output is |x_1|. *)
Definition two_sides (p : parameter) : R :=
  match p with Weight 0 0 => 1 | Weight 1 0 => - 1 | Weight _ _ => 0 | Output _ => 1 end.

Lemma sides_preactivation : forall d j x, (1 <= d)%nat -> (j < 2)%nat ->
  preactivation d two_sides j x = (if (j =? 0)%nat then 1 else - 1) * x 0%nat.
Proof.
  intros d j x D J. unfold preactivation, dot. rewrite (sum_single _ _ 0%nat); [|apply nodup_below|apply in_below; lia|].
  - destruct j as [|[|j]]; try lia; simpl; ring.
  - intros k _ N. destruct k as [|k]; [congruence|]. destruct j as [|[|j]]; simpl; ring.
Qed.

Lemma root_two : sqrt 2 * sqrt 2 = 2.
Proof. apply sqrt_sqrt. lra. Qed.

Lemma root_two_pos : 0 < sqrt 2.
Proof. apply sqrt_lt_R0. lra. Qed.

(* wen2023/lemma-A.11 with relu'(0) = 0: the network outputs |x_1| on the sample, the trace is 4 and ||W1||^2 + d ||W2||^2 = 2 (1 + d),
   so no constant C1 > 0 serves every d. *)
Theorem no_lower_constant : forall C1, 0 < C1 -> exists d, (2 <= d)%nat
  /\ (forall x, In x (two_blocks d) -> network 2 d two_sides x = Rabs (x 0%nat))
  /\ conventional_trace 2 d two_sides (two_blocks d) = 4
  /\ conventional_trace 2 d two_sides (two_blocks d) < C1 * weighted_norms 2 d two_sides.
Proof.
  intros C1 P.
  assert (All : forall d, (2 <= d)%nat -> (forall x, In x (two_blocks d) -> network 2 d two_sides x = Rabs (x 0%nat))
     /\ conventional_trace 2 d two_sides (two_blocks d) = 4 /\ weighted_norms 2 d two_sides = 2 * (1 + INR d)).
  { intros d D. split; [|split].
    - intros x _. unfold network. cbn [below seq Sum two_sides]. rewrite !sides_preactivation by lia. cbn [Nat.eqb].
      unfold relu, Rmax, Rabs. destruct (Rle_dec 0 (1 * x 0%nat)), (Rle_dec 0 (- 1 * x 0%nat)), (Rcase_abs (x 0%nat)); lra.
    - unfold conventional_trace, two_blocks. rewrite app_length, !map_length, sum_app, !sum_map.
      rewrite (sum_ext (cube (d - 1)) _ (fun _ => 4)).
      2: { intros z I. cbn [below seq Sum two_sides]. rewrite !sides_preactivation by lia. cbn [Nat.eqb first_block].
           replace (squared_norm d (first_block (z 0%nat))) with 2.
           - pose proof root_two. pose proof root_two_pos.
             destruct (cube_on_cube _ _ I 0%nat ltac:(lia)) as [-> | ->]; unfold step, relu, Rmax;
             repeat destruct (Rlt_dec _ _); repeat destruct (Rle_dec _ _); try nra.
           - unfold squared_norm. rewrite (sum_single _ _ 0%nat); [|apply nodup_below|apply in_below; lia|].
             + pose proof root_two. destruct (cube_on_cube _ _ I 0%nat ltac:(lia)) as [E|E]; cbn [first_block]; rewrite E; nra.
             + intros k _ N. destruct k; [congruence|]. simpl. ring. }
      rewrite (sum_zero (cube (d - 1)) (fun z => _ * squared_norm d (second_block z) + _)).
      2: { intros z _. cbn [below seq Sum two_sides]. rewrite !sides_preactivation by lia. cbn [Nat.eqb second_block].
           rewrite !Rmult_0_r. unfold step. destruct (Rlt_dec 0 0); [lra|]. rewrite relu_neg by lra. ring. }
      rewrite sum_const, plus_INR. unfold point in *. pose proof (length_cube (d - 1)) as Lc. unfold point in Lc. rewrite !Lc. assert (0 < 2 ^ (d - 1)) by (apply pow_lt; lra). field. lra.
    - unfold weighted_norms. cbn [below seq Sum two_sides]. fold (below d).
      rewrite !(sum_single (seq 0 d) _ 0%nat); try apply nodup_below; try (apply in_below; lia).
      + ring.
      + intros k _ N. destruct k; [congruence|]. ring.
      + intros k _ N. destruct k; [congruence|]. ring. }
  destruct (archimed_cor1 (C1 / 4)) as (N & A & B); [lra|].
  exists (S (S N)). destruct (All (S (S N)) ltac:(lia)) as (O & T & W). split; [lia|]. split; [exact O|]. split; [exact T|].
  rewrite T, W, !S_INR. assert (0 < INR N) by (apply lt_0_INR; auto).
  apply (Rmult_lt_compat_r (INR N)) in A; auto. rewrite Rinv_l in A by lra. nra.
Qed.
