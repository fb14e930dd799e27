(* Owns parity on the cube: wen2023's propositions 4.1 and 4.2. x is on {-1, 1}^d, y = x[1] x[2]; coordinates count from 0 here. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer.
Import ListNotations.
Open Scope R_scope.

Definition on_cube (d : nat) (x : point) : Prop := forall k, (k < d)%nat -> x k = 1 \/ x k = - 1.
Definition label (x : point) : R := x 0%nat * x 1%nat.
Definition parity_data (d : nat) (data : samples) : Prop := forall s, In s data -> on_cube d (fst s) /\ snd s = label (fst s).

Lemma squared_norm_cube : forall d x, on_cube d x -> squared_norm d x = INR d.
Proof.
  intros d x C. unfold squared_norm. rewrite (sum_ext _ _ (fun _ => 1)).
  - rewrite sum_const, length_below. ring.
  - intros k K. apply in_below in K. destruct (C k K) as [-> | ->]; ring.
Qed.

Lemma norm_cube : forall d x, on_cube d x -> norm (S d) (with_one d x) = sqrt (INR d + 1).
Proof. intros. unfold norm. rewrite squared_norm_with_one, squared_norm_cube; auto. Qed.

Lemma label_cube : forall d x, (2 <= d)%nat -> on_cube d x -> label x = 1 \/ label x = - 1.
Proof.
  intros d x D C. unfold label. destruct (C 0%nat ltac:(lia)) as [-> | ->], (C 1%nat ltac:(lia)) as [-> | ->]; lra.
Qed.

(* A neuron that sees the first two coordinates and the bias alone. *)
Definition head_weight (d : nat) (p q b : R) (k : nat) : R := if (k =? d)%nat then b else match k with 0 => p | 1 => q | _ => 0 end.

Lemma dot_two : forall d p q x, (2 <= d)%nat ->
  dot d (fun k => match k with 0%nat => p | 1%nat => q | _ => 0 end) x = p * x 0%nat + q * x 1%nat.
Proof.
  intros d p q x D. unfold dot. destruct d as [|[|d]]; try lia. clear D. induction d.
  - simpl. ring.
  - rewrite sum_below_S, IHd. ring.
Qed.

Lemma head_preactivation : forall d p q b x, (2 <= d)%nat ->
  dot (S d) (head_weight d p q b) (with_one d x) = p * x 0%nat + q * x 1%nat + b.
Proof.
  intros. rewrite dot_with_one. unfold head_weight at 2. rewrite Nat.eqb_refl. f_equal.
  rewrite <- (dot_two d) by auto. apply sum_ext. intros k K. apply in_below in K. unfold head_weight.
  destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

(* A network of such neurons: rows (p, q, b), output weights. *)
Definition heads (d : nat) (rows : nat -> R * R * R) (a : nat -> R) (p : parameter) : R :=
  match p with Weight j k => let '(p, q, b) := rows j in head_weight d p q b k | Output j => a j end.

Lemma heads_preactivation : forall d rows a j x, (2 <= d)%nat ->
  preactivation (S d) (heads d rows a) j (with_one d x)
  = let '(p, q, b) := rows j in p * x 0%nat + q * x 1%nat + b.
Proof.
  intros. unfold preactivation, heads. destruct (rows j) as [[p q] b]. apply head_preactivation. auto.
Qed.

(* (-1)^i and (-1)^j for neuron 2i + j. *)
Definition first_sign (j : nat) : R := match j with 0 | 1 => 1 | _ => - 1 end.
Definition second_sign (j : nat) : R := match j with 0 | 2 => 1 | _ => - 1 end.

(* Equation (5) at any scale r: W1_j = r [(-1)^i, (-1)^j, 0, ...], b1_j = -r, W2_j = (-1)^(i+j) / r; all others zero. *)
Definition generalizing (d : nat) (r : R) : parameter -> R :=
  heads d (fun j => if (j <? 4)%nat then (r * first_sign j, r * second_sign j, - r) else (0, 0, 0))
    (fun j => if (j <? 4)%nat then first_sign j * second_sign j / r else 0).

Definition own_head (x : point) : nat :=
  if Rlt_dec 0 (x 0%nat) then (if Rlt_dec 0 (x 1%nat) then 0 else 1) else (if Rlt_dec 0 (x 1%nat) then 2 else 3).

Section Generalizing.
Variables (m d : nat) (r : R).
Hypothesis wide : (4 <= m)%nat.
Hypothesis plane : (2 <= d)%nat.
Hypothesis scale : 0 < r.
Let theta := generalizing d r.

Lemma own_head_small : forall x, (own_head x < 4)%nat.
Proof. intros. unfold own_head. destruct (Rlt_dec 0 (x 0%nat)), (Rlt_dec 0 (x 1%nat)); lia. Qed.

Lemma generalizing_preactivation : forall j x, preactivation (S d) theta j (with_one d x)
  = if (j <? 4)%nat then r * (first_sign j * x 0%nat + second_sign j * x 1%nat - 1) else 0.
Proof.
  intros. unfold theta, generalizing. rewrite heads_preactivation by auto. destruct (j <? 4)%nat; ring.
Qed.

Section At.
Variable x : point.
Hypothesis cube : on_cube d x.
Let i := own_head x.

Lemma own_height : preactivation (S d) theta i (with_one d x) = r.
Proof.
  rewrite generalizing_preactivation. unfold i, own_head.
  destruct (cube 0%nat ltac:(lia)) as [E0|E0], (cube 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
  repeat destruct (Rlt_dec _ _); try lra; simpl; ring.
Qed.

Lemma other_heads : forall j, (j < m)%nat -> j <> i -> preactivation (S d) theta j (with_one d x) <= 0
  /\ (theta (Output j) <> 0 -> preactivation (S d) theta j (with_one d x) < 0).
Proof.
  intros j J N. rewrite generalizing_preactivation. unfold theta, generalizing, heads.
  destruct (Nat.ltb_spec j 4) as [L|L]; [|split; [lra|congruence]].
  assert (K : first_sign j * x 0%nat + second_sign j * x 1%nat - 1 < 0).
  { unfold i, own_head in N. 
    destruct (cube 0%nat ltac:(lia)) as [E0|E0], (cube 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1 in N |- *;
    repeat destruct (Rlt_dec _ _); try lra; destruct j as [|[|[|[|j]]]]; try lia; try congruence; simpl; lra. }
  split; intros; nra.
Qed.

Lemma own_output : theta (Output i) = label x / r.
Proof.
  unfold theta, generalizing, heads, i, own_head, label.
  destruct (cube 0%nat ltac:(lia)) as [E0|E0], (cube 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
  repeat destruct (Rlt_dec _ _); try lra; simpl; field; lra.
Qed.

Lemma own_in : (i < m)%nat.
Proof. pose proof (own_head_small x). unfold i. lia. Qed.

Lemma generalizing_output : network m (S d) theta (with_one d x) = label x.
Proof.
  rewrite (alone_output m (S d) theta _ i own_in); [|rewrite own_height; auto|apply other_heads].
  rewrite own_height, own_output. field. lra.
Qed.

Lemma generalizing_off_kinks : off_kinks m (S d) theta (with_one d x).
Proof. apply alone_off_kinks with i; [rewrite own_height; auto|apply other_heads]. Qed.

Lemma generalizing_gradient :
  squared_gradient (parameters m (S d)) (fun th => network m (S d) th (with_one d x)) theta = (INR d + 1) / r ^ 2 + r ^ 2.
Proof.
  rewrite (alone_gradient m (S d) theta _ i own_in); [|rewrite own_height; auto|apply other_heads].
  rewrite own_height, own_output, norm_square, squared_norm_with_one, squared_norm_cube by auto.
  replace ((label x / r) ^ 2) with (label x ^ 2 / r ^ 2) by (field; lra).
  replace (label x ^ 2) with 1; [field; lra|].
  destruct (label_cube d x plane cube) as [-> | ->]; ring.
Qed.
End At.

Lemma generalizing_fits : forall data, parity_data d data -> fits m d theta data.
Proof.
  intros data P. split; intros s' I; unfold primed in I; apply in_map_iff in I; destruct I as (s & <- & I); cbn [fst snd];
  destruct (P s I) as [C Y].
  - apply smooth_with_one. apply generalizing_off_kinks. auto.
  - rewrite Y. apply generalizing_output. auto.
Qed.

Lemma generalizing_sharpness : forall data, parity_data d data -> data <> [] ->
  sharpness m d theta data = 2 * ((INR d + 1) / r ^ 2 + r ^ 2).
Proof.
  intros data P N. rewrite sharpness_of by (apply generalizing_fits; auto).
  rewrite (sum_ext _ _ (fun _ => (INR d + 1) / r ^ 2 + r ^ 2)).
  - rewrite sum_const. assert (0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]).
    unfold Rdiv. set (v := (INR d + 1) * / r ^ 2 + r ^ 2). field. lra.
  - intros s I. apply generalizing_gradient. apply P. auto.
Qed.
End Generalizing.

Definition balanced (d : nat) : R := sqrt (sqrt (INR d + 1)). (* (d+1)^(1/4) *)
Definition printed_scale (d : nat) : R := sqrt (sqrt (INR d ^ 2 + 1)). (* (d^2+1)^(1/4) *)

Lemma balanced_pos : forall d, 0 < balanced d.
Proof. intros. apply sqrt_lt_R0, sqrt_lt_R0. pose proof (pos_INR d). lra. Qed.

Lemma balanced_square : forall d, balanced d ^ 2 = sqrt (INR d + 1).
Proof. intros. unfold balanced. apply pow2_sqrt. apply sqrt_pos. Qed.

(* wen2023/proposition-4.2, equation (5) as corrected, r = (d+1)^(1/4): flattest on every parity sample, right on the whole cube. *)
Theorem generalizing_is_flattest : forall m d data, (4 <= m)%nat -> (2 <= d)%nat -> parity_data d data ->
  flattest m d (generalizing d (balanced d)) data
  /\ forall x, on_cube d x -> network m (S d) (generalizing d (balanced d)) (with_one d x) = label x.
Proof.
  intros m d data M D P. pose proof (balanced_pos d) as B. split; [|intros; apply generalizing_output; auto].
  apply attaining_is_flattest; [apply generalizing_fits; auto|]. intros s I. destruct (P s I) as [C Y].
  rewrite generalizing_gradient, norm_cube, balanced_square by auto. rewrite Y.
  replace (Rabs (label (fst s))) with 1.
  2: { destruct (label_cube d (fst s) D C) as [-> | ->]; [rewrite Rabs_R1|rewrite Rabs_left]; lra. }
  assert (Q : 0 < sqrt (INR d + 1)) by (apply sqrt_lt_R0; pose proof (pos_INR d); lra).
  assert (E : INR d + 1 = sqrt (INR d + 1) * sqrt (INR d + 1)) by (rewrite sqrt_sqrt; [auto|pose proof (pos_INR d); lra]).
  rewrite E at 1. field. lra.
Qed.

(* As printed, r = (d^2+1)^(1/4): interpolates, but its trace is above that of the corrected network, for every d >= 2. *)
Theorem printed_scale_not_flattest : forall m d data, (4 <= m)%nat -> (2 <= d)%nat -> parity_data d data -> data <> [] ->
  fits m d (generalizing d (printed_scale d)) data
  /\ sharpness m d (generalizing d (balanced d)) data < sharpness m d (generalizing d (printed_scale d)) data
  /\ ~ flattest m d (generalizing d (printed_scale d)) data.
Proof.
  intros m d data M D P N. pose proof (balanced_pos d) as B.
  assert (D2 : 2 <= INR d) by (apply (le_INR 2); auto).
  assert (R0 : 0 < printed_scale d) by (apply sqrt_lt_R0, sqrt_lt_R0; nra).
  assert (F : fits m d (generalizing d (printed_scale d)) data) by (apply generalizing_fits; auto).
  assert (L : sharpness m d (generalizing d (balanced d)) data < sharpness m d (generalizing d (printed_scale d)) data).
  { rewrite !generalizing_sharpness by auto. apply Rmult_lt_compat_l; [lra|]. rewrite balanced_square.
    set (s := sqrt (INR d + 1)). set (t := printed_scale d ^ 2).
    assert (S0 : 0 < s) by (apply sqrt_lt_R0; lra).
    assert (E : INR d + 1 = s * s) by (unfold s; rewrite sqrt_sqrt; lra).
    assert (T : t = sqrt (INR d ^ 2 + 1)) by (unfold t, printed_scale; apply pow2_sqrt, sqrt_pos).
    assert (ST : s < t) by (rewrite T; apply sqrt_lt_1; nra).
    rewrite E. replace (s * s / s) with s by (field; lra).
    apply Rmult_lt_reg_r with t; [lra|]. replace ((s * s / t + t) * t) with (s * s + t * t) by (field; lra). nra. }
  split; [auto|split; [auto|]]. intros [_ H]. specialize (H m _ (generalizing_fits m d (balanced d) M D B data P)). lra.
Qed.

(* --- three neurons, where the sample lacks a head (p, q) ----------------------------------------------------------------------------- *)

(* One on the opposite head, one on the other two (1 at both, 11/5 at the missing head), and one, dead on the sample, that outweighs
   it at the missing head. *)
Definition three (d : nat) (p q r : R) : parameter -> R :=
  heads d (fun j => match j with
      | 0 => (r * - p, r * - q, - r) | 1 => (r * (3 / 5 * p), r * (3 / 5 * q), r) | 2 => (r * p, r * q, - r) | _ => (0, 0, 0) end)
    (fun j => match j with 0 => p * q / r | 1 => - (p * q) / r | 2 => 10 * (p * q) / r | _ => 0 end).

Definition lacks (d : nat) (data : samples) (p q : R) : Prop := forall s, In s data -> ~ (fst s 0%nat = p /\ fst s 1%nat = q).

Section Three.
Variables (m d : nat) (p q r : R).
Hypothesis wide : (3 <= m)%nat.
Hypothesis plane : (2 <= d)%nat.
Hypothesis scale : 0 < r.
Hypothesis hp : p = 1 \/ p = - 1.
Hypothesis hq : q = 1 \/ q = - 1.
Let theta := three d p q r.

Lemma three_preactivation : forall j x, preactivation (S d) theta j (with_one d x)
  = match j with
    | 0 => r * (- p * x 0%nat - q * x 1%nat - 1)
    | 1 => r * (3 / 5 * (p * x 0%nat + q * x 1%nat) + 1)
    | 2 => r * (p * x 0%nat + q * x 1%nat - 1)
    | _ => 0
    end.
Proof.
  intros. unfold theta, three. rewrite heads_preactivation by auto. destruct j as [|[|[|j]]]; ring.
Qed.

Definition seen_by (x : point) : nat := if Req_EM_T (x 0%nat) (- p) then if Req_EM_T (x 1%nat) (- q) then 0%nat else 1%nat else 1%nat.

Lemma three_alone : forall x, on_cube d x -> ~ (x 0%nat = p /\ x 1%nat = q) ->
  preactivation (S d) theta (seen_by x) (with_one d x) = r
  /\ (forall j, (j < m)%nat -> j <> seen_by x -> preactivation (S d) theta j (with_one d x) <= 0
       /\ (theta (Output j) <> 0 -> preactivation (S d) theta j (with_one d x) < 0))
  /\ theta (Output (seen_by x)) = label x / r.
Proof.
  intros x C N. unfold seen_by. assert (T := three_preactivation). assert (R0 := scale).
  destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1];
  destruct hp as [Hp|Hp], hq as [Hq|Hq]; unfold label; rewrite ?E0, ?E1, ?Hp, ?Hq in N |- *;
  repeat destruct (Req_EM_T _ _); try lra; try (exfalso; apply N; split; reflexivity);
  (split; [rewrite T, ?E0, ?E1, ?Hp, ?Hq; field|split;
    [intros j J K; rewrite T, ?E0, ?E1, ?Hp, ?Hq; destruct j as [|[|[|j]]]; try congruence; unfold theta, three, heads; split; intros; try lra; try nra
    |unfold theta, three, heads; rewrite ?Hp, ?Hq; field; lra]]).
Qed.

Lemma three_right : forall x, on_cube d x -> 0 < label x * network m (S d) theta (with_one d x).
Proof.
  intros x C.
  assert (P : network m (S d) theta (with_one d x)
    = theta (Output 0) * relu (preactivation (S d) theta 0 (with_one d x)) + theta (Output 1) * relu (preactivation (S d) theta 1 (with_one d x))
      + theta (Output 2) * relu (preactivation (S d) theta 2 (with_one d x))).
  { unfold network. destruct m as [|[|[|m']]]; try lia. clear wide. induction m' as [|m' IH].
    - simpl. ring.
    - rewrite sum_below_S, IH, (three_preactivation (S (S (S m')))). rewrite (relu_neg 0) by lra. ring. }
  assert (K : forall c h, c / r * (r * h) = c * h) by (intros; field; lra).
  rewrite P, !three_preactivation, !relu_scal by lra. unfold theta, three, heads, label. rewrite !K.
  destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1];
  destruct hp as [Hp|Hp], hq as [Hq|Hq]; rewrite ?E0, ?E1, ?Hp, ?Hq;
  unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
Qed.

Lemma three_fits : forall data, parity_data d data -> lacks d data p q -> fits m d theta data.
Proof.
  intros data P K. split; intros s' I; unfold primed in I; apply in_map_iff in I; destruct I as (s & <- & I); cbn [fst snd];
  destruct (P s I) as [C Y]; destruct (three_alone (fst s) C (K s I)) as (H1 & H2 & H3).
  - apply smooth_with_one. apply alone_off_kinks with (seen_by (fst s)); auto. rewrite H1. auto.
  - rewrite (alone_output m (S d) theta _ (seen_by (fst s))); auto.
    + rewrite H1, H3, Y. field. lra.
    + unfold seen_by. repeat destruct (Req_EM_T _ _); lia.
    + rewrite H1. auto.
Qed.
End Three.

Lemma three_is_flattest : forall m d p q data, (3 <= m)%nat -> (2 <= d)%nat -> (p = 1 \/ p = - 1) -> (q = 1 \/ q = - 1) ->
  parity_data d data -> lacks d data p q -> flattest m d (three d p q (balanced d)) data.
Proof.
  intros m d p q data M D Hp Hq P K. pose proof (balanced_pos d) as B.
  apply attaining_is_flattest; [apply three_fits; auto|]. intros s I. destruct (P s I) as [C Y].
  destruct (three_alone m d p q (balanced d) M D B Hp Hq (fst s) C (K s I)) as (H1 & H2 & H3).
  assert (Ls : (seen_by p q (fst s) < m)%nat) by (unfold seen_by; repeat destruct (Req_EM_T _ _); lia).
  rewrite (alone_attains m (S d) _ _ (seen_by p q (fst s))); auto.
  - destruct (three_fits m d p q (balanced d) M D B Hp Hq data P K) as [_ T].
    assert (In' : In (with_one d (fst s), snd s) (primed d data)) by (unfold primed; apply in_map_iff; exists s; auto).
    specialize (T _ In'). cbn [fst snd] in T. rewrite T. auto.
  - rewrite H1. auto.
  - rewrite H1, H3, norm_cube by auto. rewrite <- balanced_square.
    replace (Rabs (label (fst s) / balanced d)) with (/ balanced d); [field; lra|].
    unfold Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ balanced d)) by (left; apply Rinv_0_lt_compat; auto).
    destruct (label_cube d (fst s) D C) as [-> | ->]; [rewrite Rabs_R1|rewrite Rabs_left]; lra.
Qed.

(* Three samples lack one of the four heads. *)
Lemma three_samples_lack : forall d data, (length data <= 3)%nat ->
  exists p q, (p = 1 \/ p = - 1) /\ (q = 1 \/ q = - 1) /\ lacks d data p q.
Proof.
  intros d data L.
  assert (H : forall s1 s2 s3 : point * R, exists p q, (p = 1 \/ p = - 1) /\ (q = 1 \/ q = - 1) /\ lacks d [s1; s2; s3] p q).
  { intros s1 s2 s3.
    set (hit (s : point * R) p q := fst s 0%nat = p /\ fst s 1%nat = q).
    assert (Dec : forall s p q, {hit s p q} + {~ hit s p q}).
    { intros s p q. unfold hit. destruct (Req_EM_T (fst s 0%nat) p), (Req_EM_T (fst s 1%nat) q); tauto. }
    assert (Lk : forall p q, ~ hit s1 p q -> ~ hit s2 p q -> ~ hit s3 p q -> lacks d [s1; s2; s3] p q).
    { intros p q A B C s [<-|[<-|[<-|[]]]]; auto. }
    assert (Apart : forall s p q p' q', hit s p q -> hit s p' q' -> p = p' /\ q = q').
    { unfold hit. intros. intuition congruence. }
    assert (Try : forall p q, lacks d [s1; s2; s3] p q \/ hit s1 p q \/ hit s2 p q \/ hit s3 p q).
    { intros p q. destruct (Dec s1 p q), (Dec s2 p q), (Dec s3 p q); auto. }
    destruct (Try 1 1) as [T|T1]; [exists 1, 1; auto|]. destruct (Try 1 (- 1)) as [T|T2]; [exists 1, (- 1); auto|].
    destruct (Try (- 1) 1) as [T|T3]; [exists (- 1), 1; auto|]. destruct (Try (- 1) (- 1)) as [T|T4]; [exists (- 1), (- 1); auto|].
    exfalso. unfold hit in *. destruct T1 as [?|[?|?]], T2 as [?|[?|?]], T3 as [?|[?|?]], T4 as [?|[?|?]]; lra. }
  destruct data as [|s1 [|s2 [|s3 [|s4 rest]]]]; simpl in L; try lia.
  - exists 1, 1. repeat split; auto. intros s [].
  - destruct (H s1 s1 s1) as (p & q & Hp & Hq & K). exists p, q. repeat split; auto. intros s I. apply K. simpl in *. tauto.
  - destruct (H s1 s2 s2) as (p & q & Hp & Hq & K). exists p, q. repeat split; auto. intros s I. apply K. simpl in *. tauto.
  - apply H.
Qed.

(* wen2023/proposition-4.2 as corrected: for n >= 3 samples, repeated or not, a flattest network of width n is right on the whole cube. *)
Theorem flattest_and_right : forall d data, (2 <= d)%nat -> parity_data d data -> (3 <= length data)%nat ->
  exists theta, flattest (length data) d theta data
    /\ forall x, on_cube d x -> 0 < label x * network (length data) (S d) theta (with_one d x).
Proof.
  intros d data D P L. pose proof (balanced_pos d) as B. destruct (le_lt_dec 4 (length data)) as [W|W].
  - exists (generalizing d (balanced d)). destruct (generalizing_is_flattest (length data) d data W D P) as [F G]. split; auto.
    intros x C. rewrite (G x C). destruct (label_cube d x D C) as [-> | ->]; lra.
  - destruct (three_samples_lack d data) as (p & q & Hp & Hq & K); [lia|].
    exists (three d p q (balanced d)). split; [apply three_is_flattest; auto|]. intros. apply three_right; auto.
Qed.

(* --- one or two neurons -------------------------------------------------------------------------------------------------------------- *)

(* Values at the heads (1,1), (-1,-1), (1,-1), (-1,1). *)
Lemma two_signs_fail : forall a1 a2 u1 v1 s1 t1 u2 v2 s2 t2 : R, u1 + v1 = s1 + t1 -> u2 + v2 = s2 + t2 ->
  0 < a1 -> a2 <= 0 ->
  0 < a1 * relu u1 + a2 * relu u2 -> 0 < a1 * relu v1 + a2 * relu v2 ->
  a1 * relu s1 + a2 * relu s2 < 0 -> a1 * relu t1 + a2 * relu t2 < 0 -> False.
Proof.
  intros.
  assert (act : forall z, 0 < relu z -> relu z = z) by (intros z; unfold relu, Rmax; destruct (Rle_dec 0 z); lra).
  pose proof (relu_nonneg u1). pose proof (relu_nonneg u2). pose proof (relu_nonneg v1). pose proof (relu_nonneg v2).
  pose proof (relu_nonneg s1). pose proof (relu_nonneg s2). pose proof (relu_nonneg t1). pose proof (relu_nonneg t2).
  assert (relu u1 = u1) by (apply act; nra). assert (relu v1 = v1) by (apply act; nra).
  assert (a2 < 0) by (destruct (Req_dec a2 0); [subst; nra|lra]).
  assert (relu s2 = s2) by (apply act; nra). assert (relu t2 = t2) by (apply act; nra).
  pose proof (relu_ge s1). pose proof (relu_ge t1). pose proof (relu_ge u2). pose proof (relu_ge v2).
  assert (a1 * (relu u1 + relu v1) <= a1 * (relu s1 + relu t1)) by (apply Rmult_le_compat_l; lra).
  assert (- a2 * (relu s2 + relu t2) <= - a2 * (relu u2 + relu v2)) by (apply Rmult_le_compat_l; lra). lra.
Qed.

Lemma two_neurons_fail : forall a1 a2 u1 v1 s1 t1 u2 v2 s2 t2 : R, u1 + v1 = s1 + t1 -> u2 + v2 = s2 + t2 ->
  0 < a1 * relu u1 + a2 * relu u2 -> 0 < a1 * relu v1 + a2 * relu v2 ->
  a1 * relu s1 + a2 * relu s2 < 0 -> a1 * relu t1 + a2 * relu t2 < 0 -> False.
Proof.
  intros.
  pose proof (relu_nonneg u1). pose proof (relu_nonneg u2). pose proof (relu_nonneg s1). pose proof (relu_nonneg s2).
  destruct (Rlt_dec 0 a1) as [P1|P1], (Rlt_dec 0 a2) as [P2|P2].
  - nra.
  - apply (two_signs_fail a1 a2 u1 v1 s1 t1 u2 v2 s2 t2); auto; lra.
  - apply (two_signs_fail a2 a1 u2 v2 s2 t2 u1 v1 s1 t1); auto; lra.
  - nra.
Qed.

(* The point with head (p, q) and a tail of ones. *)
Definition at_head (p q : R) : point := fun k => match k with 0 => p | 1 => q | _ => 1 end.

Lemma at_head_on_cube : forall d p q, (p = 1 \/ p = - 1) -> (q = 1 \/ q = - 1) -> on_cube d (at_head p q).
Proof. intros d p q Hp Hq [|[|k]] K; simpl; auto. Qed.

Lemma opposite_heads : forall d theta j, (2 <= d)%nat ->
  preactivation (S d) theta j (with_one d (at_head 1 1)) + preactivation (S d) theta j (with_one d (at_head (- 1) (- 1)))
  = preactivation (S d) theta j (with_one d (at_head 1 (- 1))) + preactivation (S d) theta j (with_one d (at_head (- 1) 1)).
Proof.
  intros. unfold preactivation, dot. rewrite <- !sum_plus. apply sum_ext. intros k _. unfold with_one, at_head.
  destruct (Nat.eqb_spec k d); destruct k as [|[|k]]; try lia; ring.
Qed.

(* wen2023/proposition-4.2 as printed fails at n = 1 and 2: no network of width 1 or 2, flattest or not, is right on the cube. *)
Theorem one_or_two_neurons_fail : forall m d theta, (m <= 2)%nat -> (2 <= d)%nat ->
  exists x, on_cube d x /\ label x * network m (S d) theta (with_one d x) <= 0.
Proof.
  intros m d theta M D.
  set (f p q := network m (S d) theta (with_one d (at_head p q))).
  assert (H : f 1 1 <= 0 \/ f (- 1) (- 1) <= 0 \/ 0 <= f 1 (- 1) \/ 0 <= f (- 1) 1).
  { set (z j p q := preactivation (S d) theta j (with_one d (at_head p q))).
    assert (Op : forall j, z j 1 1 + z j (- 1) (- 1) = z j 1 (- 1) + z j (- 1) 1) by (intros; apply opposite_heads; auto).
    assert (F : exists a1 a2, forall p q, f p q = a1 * relu (z 0%nat p q) + a2 * relu (z 1%nat p q)).
    { destruct m as [|[|[|m']]]; try lia.
      - exists 0, 0. intros. unfold f, network. simpl. ring.
      - exists (theta (Output 0)), 0. intros. unfold f, network, z. simpl. ring.
      - exists (theta (Output 0)), (theta (Output 1)). intros. unfold f, network, z. simpl. ring. }
    destruct F as (a1 & a2 & F). rewrite !F.
    destruct (Rle_dec (a1 * relu (z 0%nat 1 1) + a2 * relu (z 1%nat 1 1)) 0); auto.
    destruct (Rle_dec (a1 * relu (z 0%nat (- 1) (- 1)) + a2 * relu (z 1%nat (- 1) (- 1))) 0); auto.
    destruct (Rle_dec 0 (a1 * relu (z 0%nat 1 (- 1)) + a2 * relu (z 1%nat 1 (- 1)))); auto.
    destruct (Rle_dec 0 (a1 * relu (z 0%nat (- 1) 1) + a2 * relu (z 1%nat (- 1) 1))); auto.
    exfalso. apply (two_neurons_fail a1 a2 (z 0%nat 1 1) (z 0%nat (- 1) (- 1)) (z 0%nat 1 (- 1)) (z 0%nat (- 1) 1)
      (z 1%nat 1 1) (z 1%nat (- 1) (- 1)) (z 1%nat 1 (- 1)) (z 1%nat (- 1) 1)); auto; lra. }
  unfold f in H. destruct H as [H|[H|[H|H]]].
  - exists (at_head 1 1). split; [apply at_head_on_cube; auto|]. unfold label. simpl. lra.
  - exists (at_head (- 1) (- 1)). split; [apply at_head_on_cube; auto|]. unfold label. simpl. lra.
  - exists (at_head 1 (- 1)). split; [apply at_head_on_cube; auto|]. unfold label. simpl. lra.
  - exists (at_head (- 1) 1). split; [apply at_head_on_cube; auto|]. unfold label. simpl. lra.
Qed.

(* --- proposition 4.1 ------------------------------------------------------------------------------------------------------------------- *)

Fixpoint agree (d : nat) (x x' : point) : bool :=
  match d with O => true | S k => if Req_EM_T (x k) (x' k) then agree k x x' else false end.

Lemma agree_iff : forall d x x', agree d x x' = true <-> forall k, (k < d)%nat -> x k = x' k.
Proof.
  induction d; intros; simpl.
  - split; auto. intros _ k K. lia.
  - destruct (Req_EM_T (x d) (x' d)) as [E|N].
    + rewrite IHd. split; intros H k K; [|apply H; lia]. destruct (Nat.eq_dec k d) as [->|]; auto. apply H. lia.
    + split; [discriminate|]. intros H. elim N. apply H. lia.
Qed.

(* {-1, 1}^d, each point once. *)
Definition extend (d : nat) (v : R) (x : point) : point := fun k => if (k =? d)%nat then v else x k.
Fixpoint cube (d : nat) : list point :=
  match d with O => [fun _ => 0] | S k => map (extend k 1) (cube k) ++ map (extend k (- 1)) (cube k) end.

Lemma length_cube : forall d, INR (length (cube d)) = 2 ^ d.
Proof. induction d; simpl; [auto|]. rewrite app_length, !map_length, plus_INR, IHd. ring. Qed.

Lemma cube_on_cube : forall d x, In x (cube d) -> on_cube d x.
Proof.
  induction d; intros x I k K; [lia|]. simpl in I. apply in_app_iff in I.
  destruct I as [I|I]; apply in_map_iff in I; destruct I as (x0 & <- & I); unfold extend;
  (destruct (Nat.eqb_spec k d); [auto|apply (IHd x0 I); lia]).
Qed.

Lemma cube_once : forall d x, on_cube d x -> Sum (cube d) (fun c => if agree d c x then 1 else 0) = 1.
Proof.
  induction d; intros x C.
  - simpl. ring.
  - cbn [cube]. rewrite sum_app, !sum_map. cbn [agree].
    assert (E : forall v c, extend d v c d = v) by (intros; unfold extend; rewrite Nat.eqb_refl; auto).
    assert (A : forall v c, agree d (extend d v c) x = agree d c x).
    { intros. assert (H : forall k, (k < d)%nat -> extend d v c k = c k).
      { intros k K. unfold extend. destruct (Nat.eqb_spec k d); [lia|auto]. }
      destruct (agree d c x) eqn:G.
      - apply agree_iff. intros k K. rewrite H by auto. apply agree_iff with d; auto.
      - destruct (agree d (extend d v c) x) eqn:G'; auto. rewrite <- G. symmetry. apply agree_iff. intros k K.
        rewrite <- H by auto. apply agree_iff with d; auto. }
    assert (IH := IHd x (fun k K => C k (Nat.lt_lt_succ_r _ _ K))).
    assert (Same : forall v, x d = v -> Sum (cube d) (fun a => if (if Req_EM_T (extend d v a d) (x d) then agree d (extend d v a) x else false) then 1 else 0) = 1).
    { intros v V. apply eq_trans with (2 := IH). apply sum_ext. intros c _. rewrite E, A. destruct (Req_EM_T v (x d)); congruence. }
    assert (Other : forall v, x d <> v -> Sum (cube d) (fun a => if (if Req_EM_T (extend d v a d) (x d) then agree d (extend d v a) x else false) then 1 else 0) = 0).
    { intros v V. apply sum_zero. intros c _. rewrite E. destruct (Req_EM_T v (x d)); congruence. }
    destruct (C d ltac:(lia)) as [X|X].
    + rewrite (Same 1) by auto. rewrite (Other (- 1)) by (rewrite X; lra). ring.
    + rewrite (Same (- 1)) by auto. rewrite (Other 1) by (rewrite X; lra). ring.
Qed.

Lemma dot_cube_agree : forall d x x', on_cube d x -> on_cube d x' -> ~ (forall k, (k < d)%nat -> x k = x' k) -> dot d x x' <= INR d - 2.
Proof.
  induction d; intros x x' C C' N.
  - elim N. intros. lia.
  - unfold dot. rewrite sum_below_S. fold (dot d x x'). rewrite S_INR.
    assert (Cd : on_cube d x) by (intros k K; apply C; lia). assert (Cd' : on_cube d x') by (intros k K; apply C'; lia).
    destruct (Req_EM_T (x d) (x' d)) as [E|E].
    + assert (dot d x x' <= INR d - 2).
      { apply IHd; auto. intros H. apply N. intros k K. destruct (Nat.eq_dec k d) as [->|]; auto. apply H. lia. }
      destruct (C d ltac:(lia)) as [X|X], (C' d ltac:(lia)) as [X'|X']; rewrite X, X'; lra.
    + assert (dot d x x' <= INR d).
      { unfold dot. rewrite <- (length_below d), <- (Rmult_1_r (INR _)), <- sum_const, length_below. apply sum_le. intros k K.
        apply in_below in K. destruct (Cd k K) as [-> | ->], (Cd' k K) as [-> | ->]; lra. }
      destruct (C d ltac:(lia)) as [X|X], (C' d ltac:(lia)) as [X'|X']; rewrite X, X' in *; lra.
Qed.

Definition distinct (d : nat) (data : samples) : Prop := forall i j, (i < length data)%nat -> (j < length data)%nat -> i <> j ->
  ~ (forall k, (k < d)%nat -> fst (sample data i) k = fst (sample data j) k).

Lemma network_agrees : forall m d theta x x', (forall k, (k < d)%nat -> x k = x' k) ->
  network m (S d) theta (with_one d x) = network m (S d) theta (with_one d x').
Proof.
  intros m d theta x x' E. apply sum_ext. intros j _. f_equal. f_equal. apply sum_ext. intros k K. apply in_below in K. f_equal.
  unfold with_one. destruct (Nat.eqb_spec k d); auto. apply E. lia.
Qed.

(* Theorem 4.1's network on distinct samples of parity: w_i = x_i, eps = 1. *)
Definition own_points (d : nat) (data : samples) : parameter -> R := memorizing d data (fun i => fst (sample data i)) 1.

Section Distinct.
Variables (d : nat) (data : samples).
Hypothesis plane : (2 <= d)%nat.
Hypothesis parity : parity_data d data.
Hypothesis apart : distinct d data.
Let n := length data.
Let theta := own_points d data.

Lemma sample_cube : forall i, (i < n)%nat -> on_cube d (fst (sample data i)).
Proof. intros i L. apply parity. apply nth_In. auto. Qed.

Lemma parity_labels : forall s, In s data -> snd s <> 0.
Proof. intros s I. destruct (parity s I) as [C ->]. destruct (label_cube d _ plane C) as [-> | ->]; lra. Qed.

Lemma dot_self : forall x, on_cube d x -> dot d x x = INR d.
Proof. intros x C. rewrite <- (squared_norm_cube d x C). apply sum_ext. intros. ring. Qed.

Lemma cube_extreme : forall i j, (i < n)%nat -> (j < n)%nat -> i <> j ->
  dot d (fst (sample data i)) (fst (sample data j)) + 1 < dot d (fst (sample data i)) (fst (sample data i)).
Proof.
  intros i j Li Lj N. rewrite dot_self by (apply sample_cube; auto).
  pose proof (dot_cube_agree d _ _ (sample_cube i Li) (sample_cube j Lj) (apart i j Li Lj N)). lra.
Qed.

(* 1 on the unseen points, 0 on the seen ones. *)
Definition is_unseen (x : point) : R := 1 - Sum (below n) (fun i => if agree d x (fst (sample data i)) then 1 else 0).

Lemma seen_or_not : forall x, (is_unseen x = 0 /\ exists i, (i < n)%nat /\ agree d x (fst (sample data i)) = true)
  \/ (is_unseen x = 1 /\ forall i, (i < n)%nat -> agree d x (fst (sample data i)) = false).
Proof.
  intros x. unfold is_unseen.
  assert (U : (exists i, (i < n)%nat /\ agree d x (fst (sample data i)) = true) \/ forall i, (i < n)%nat -> agree d x (fst (sample data i)) = false).
  { clear. induction n as [|k IH]; [right; intros; lia|]. destruct IH as [(i & L & A)|H].
    - left. exists i. split; auto.
    - destruct (agree d x (fst (sample data k))) eqn:G; [left; exists k; auto|].
      right. intros i L. destruct (Nat.eq_dec i k) as [->|]; auto. apply H. lia. }
  destruct U as [(i & L & A)|U].
  - left. split; [|exists i; auto]. rewrite (sum_single _ _ i); [rewrite A; ring|apply nodup_below|apply in_below; auto|].
    intros j J N. apply in_below in J. destruct (agree d x (fst (sample data j))) eqn:G; auto. exfalso.
    apply (apart j i J L N). intros k K. rewrite <- (proj1 (agree_iff _ _ _) G) by auto. apply (proj1 (agree_iff _ _ _) A). auto.
  - right. split; [|exact U]. rewrite sum_zero; [ring|]. intros i I. apply in_below in I. rewrite U; auto.
Qed.

Lemma count_unseen : Sum (cube d) is_unseen = 2 ^ d - INR n.
Proof.
  unfold is_unseen. rewrite sum_minus, sum_const, length_cube, sum_swap.
  rewrite (sum_ext (below n) _ (fun _ => 1)); [rewrite sum_const, length_below; ring|].
  intros i I. apply in_below in I. apply cube_once. apply sample_cube; auto.
Qed.

(* No neuron sees an unseen point. *)
Lemma silent_at_unseen : forall x i, on_cube d x -> (i < n)%nat -> agree d x (fst (sample data i)) = false ->
  preactivation (S d) theta i (with_one d x) <= 0.
Proof.
  intros x i C L U. unfold theta, own_points. rewrite preactivation_memorizing by lra. rewrite (dot_self _ (sample_cube i L)).
  assert (H : dot d (fst (sample data i)) x <= INR d - 2).
  { apply dot_cube_agree; auto using sample_cube. intros H. assert (agree d x (fst (sample data i)) = true); [|congruence].
    apply agree_iff. intros. symmetry. auto. }
  assert (0 <= sqrt (norm (S d) (with_one d (fst (sample data i))) * Rabs (snd (sample data i)))) by apply sqrt_pos.
  assert (sqrt (norm (S d) (with_one d (fst (sample data i))) * Rabs (snd (sample data i))) * (dot d (fst (sample data i)) x - INR d + 1) <= 0)
    by nra. lra.
Qed.

(* At a seen point the network is right, at an unseen one 0. *)
Lemma own_points_output : forall x, on_cube d x -> network n (S d) theta (with_one d x) = (1 - is_unseen x) * label x.
Proof.
  intros x C. destruct (seen_or_not x) as [(-> & i & L & A)|(-> & U)].
  - assert (E := proj1 (agree_iff _ _ _) A). rewrite (network_agrees n d theta x (fst (sample data i)) E).
    transitivity (snd (sample data i)); [exact (memorizing_output d data _ 1 ltac:(lra) parity_labels cube_extreme i L)|].
    destruct (parity (sample data i)) as [_ ->]; [apply nth_In; auto|]. unfold label. rewrite !E by lia. ring.
  - replace ((1 - 1) * label x) with 0 by ring. apply sum_zero. intros i I. apply in_below in I.
    rewrite relu_neg; [ring|]. apply silent_at_unseen; auto.
Qed.
End Distinct.

(* The share of the cube on which y f <= 0. *)
Definition zero_one_error (d : nat) (f : point -> R) : R :=
  / 2 ^ d * Sum (cube d) (fun x => if Rle_dec (label x * f x) 0 then 1 else 0).

(* wen2023/proposition-4.1, with the corrected zero-one loss: n distinct samples; w_i = x_i, eps = 1. *)
Theorem memorizing_errs : forall d data, (2 <= d)%nat -> parity_data d data -> distinct d data ->
  let theta := own_points d data in
  flattest (length data) d theta data /\ memorizes (length data) d theta data
  /\ zero_one_error d (fun x => network (length data) (S d) theta (with_one d x)) = Rmax (1 - INR (length data) / 2 ^ d) 0.
Proof.
  intros d data D P Ds theta.
  destruct (memorizing_is_flattest d data (fun i => fst (sample data i)) 1 ltac:(lra) (parity_labels d data D P) (cube_extreme d data P Ds))
    as (F & M & _).
  split; [exact F|]. split; [exact M|]. set (n := length data) in *.
  assert (P2 : 0 < 2 ^ d) by (apply pow_lt; lra).
  assert (Count : Sum (cube d) (fun x => if Rle_dec (label x * network n (S d) theta (with_one d x)) 0 then 1 else 0) = 2 ^ d - INR n).
  { unfold n. rewrite <- (count_unseen d data P). apply sum_ext. intros x I. apply cube_on_cube in I.
    unfold theta. rewrite own_points_output by auto.
    destruct (label_cube d x D I) as [-> | ->], (seen_or_not d data Ds x) as [[-> _]|[-> _]]; destruct (Rle_dec _ 0); lra. }
  unfold zero_one_error. rewrite Count.
  assert (N0 : 0 <= 2 ^ d - INR n).
  { rewrite <- Count. apply sum_nonneg. intros. destruct (Rle_dec _ 0); lra. }
  rewrite Rmax_left.
  - field. lra.
  - assert (INR n / 2 ^ d <= 1); [|lra]. apply Rmult_le_reg_r with (2 ^ d); auto. unfold Rdiv. rewrite Rmult_assoc, Rinv_l; lra.
Qed.
