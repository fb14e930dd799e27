(* Owns vardhan2026/flattest-generalize, with a bias: on the cube parity is a single-index model without noise that four neurons represent,
   and yet of every training set some flattest interpolator is 0 wherever it was not trained. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Parity.
Import ListNotations.
Open Scope R_scope.

(* The mean over the cube of (f - y)². *)
Definition population_loss (d : nat) (f : point -> R) : R := / 2 ^ d * Sum (cube d) (fun x => (f x - label x) ^ 2).

(* (1, 1, 0, ..., 0) *)
Definition direction (k : nat) : R := match k with 0 | 1 => 1 | _ => 0 end.

Lemma single_index : forall d x, (2 <= d)%nat -> on_cube d x -> label x = dot d direction x ^ 2 / 2 - 1.
Proof.
  intros d x D C.
  assert (E : dot d direction x = 1 * x 0%nat + 1 * x 1%nat).
  { rewrite <- (dot_two d) by auto. apply sum_ext. intros [|[|k]] _; reflexivity. }
  rewrite E. unfold label. destruct (C 0%nat ltac:(lia)) as [-> | ->], (C 1%nat ltac:(lia)) as [-> | ->]; field.
Qed.

(* --- each point once ------------------------------------------------------------------------------------------------------------------ *)

Fixpoint once (d : nat) (data : samples) : samples :=
  match data with
  | [] => []
  | s :: rest => if existsb (fun s' => agree d (fst s) (fst s')) rest then once d rest else s :: once d rest
  end.

Lemma once_in : forall d data s, In s (once d data) -> In s data.
Proof.
  induction data as [|s0 rest IH]; simpl; intros s I; auto. destruct (existsb _ rest); [right; auto|]. destruct I as [<-|I]; auto.
Qed.

Lemma once_length : forall d data, (length (once d data) <= length data)%nat.
Proof. induction data as [|s rest IH]; simpl; auto. destruct (existsb _ rest); simpl; lia. Qed.

Lemma once_covers : forall d data s, In s data -> exists s', In s' (once d data) /\ agree d (fst s) (fst s') = true.
Proof.
  induction data as [|s0 rest IH]; simpl; intros s I; [tauto|]. destruct (existsb _ rest) eqn:X.
  - destruct I as [<-|I]; [|auto]. apply existsb_exists in X. destruct X as (s1 & I1 & A1). destruct (IH s1 I1) as (s2 & I2 & A2).
    exists s2. split; auto. rewrite agree_iff in *. intros k K. rewrite A1 by auto. apply A2. auto.
  - destruct I as [<-|I].
    + exists s0. split; [left; auto|]. apply agree_iff. auto.
    + destruct (IH s I) as (s2 & I2 & A2). exists s2. split; [right; auto|auto].
Qed.

Lemma once_distinct : forall d data, distinct d (once d data).
Proof.
  induction data as [|s0 rest IH]; simpl; [intros i j Li; simpl in Li; lia|]. destruct (existsb _ rest) eqn:X; auto.
  assert (New : forall i, (i < length (once d rest))%nat -> ~ (forall k, (k < d)%nat -> fst s0 k = fst (sample (once d rest) i) k)).
  { intros i L A. assert (I : In (sample (once d rest) i) rest) by (apply (once_in d); apply nth_In; auto).
    assert (T : existsb (fun s' => agree d (fst s0) (fst s')) rest = true); [|congruence].
    apply existsb_exists. exists (sample (once d rest) i). split; auto. apply agree_iff. auto. }
  intros [|i] [|j] Li Lj N A; simpl in Li, Lj.
  - congruence.
  - apply (New j); [lia|]. exact A.
  - apply (New i); [lia|]. intros k K. symmetry. apply A. auto.
  - apply (IH i j); try lia. exact A.
Qed.

(* --- theorem 4.1's network at any width ---------------------------------------------------------------------------------------------- *)

Section Wide.
Variables (d : nat) (data : samples) (m : nat).
Hypothesis plane : (2 <= d)%nat.
Hypothesis parity : parity_data d data.
Let own := once d data.
Let n := length own.
Let theta := own_points d own.
Hypothesis wide : (n <= m)%nat.

Lemma own_parity : parity_data d own.
Proof. intros s I. apply parity. apply (once_in d). auto. Qed.

(* Neurons beyond the points are 0. *)
Lemma beyond : forall j x, (n <= j)%nat -> preactivation (S d) theta j (with_one d x) = 0 /\ theta (Output j) = 0.
Proof.
  intros j x L. assert (Z : sample own j = (fun _ => 0, 0)) by (apply nth_overflow; auto). split.
  - unfold theta, own_points. rewrite preactivation_memorizing by lra. rewrite Z. cbn [snd]. rewrite Rabs_R0, Rmult_0_r, sqrt_0. field.
  - unfold theta, own_points, memorizing. rewrite Z. unfold sgn. destruct (Rlt_dec 0 0); [lra|]. ring.
Qed.

Lemma wide_output : forall x, network m (S d) theta (with_one d x) = network n (S d) theta (with_one d x).
Proof.
  intros x. assert (G : forall k, (n <= k)%nat -> network k (S d) theta (with_one d x) = network n (S d) theta (with_one d x)); [|auto].
  induction 1 as [|k L IH]; auto. unfold network in *. rewrite sum_below_S, IH. destruct (beyond k x L) as [_ ->]. ring.
Qed.

Lemma wide_silent : forall i j, (i < n)%nat -> (j < m)%nat -> j <> i ->
  preactivation (S d) theta j (with_one d (fst (sample own i))) <= 0
  /\ (theta (Output j) <> 0 -> preactivation (S d) theta j (with_one d (fst (sample own i))) < 0).
Proof.
  intros i j Li Lj N. destruct (le_lt_dec n j) as [L|L].
  - destruct (beyond j (fst (sample own i)) L) as [-> ->]. split; [lra|congruence].
  - apply (quiet d own _ 1 ltac:(lra) (parity_labels d own plane own_parity) (cube_extreme d own own_parity (once_distinct d data)) i j); auto.
Qed.

Lemma wide_flattest : flattest m d theta data.
Proof.
  assert (Lb := parity_labels d own plane own_parity). assert (Ex := cube_extreme d own own_parity (once_distinct d data)).
  assert (At : forall s, In s data -> exists i, (i < n)%nat /\ snd s = snd (sample own i)
    /\ forall w th, network w (S d) th (with_one d (fst s)) = network w (S d) th (with_one d (fst (sample own i)))).
  { intros s I. destruct (once_covers d data s I) as (s' & I' & A). apply (In_nth _ _ (fun _ => 0, 0)) in I'.
    destruct I' as (i & L & E). change (sample own i = s') in E. subst s'. exists i. split; [exact L|].
    rewrite agree_iff in A. split; [|intros; apply network_agrees; auto].
    destruct (parity s I) as [_ ->]. destruct (own_parity (sample own i)) as [_ ->]; [apply nth_In; auto|].
    unfold label. rewrite !A by lia. auto. }
  assert (Act : forall i, (i < n)%nat -> 0 < preactivation (S d) theta i (with_one d (fst (sample own i)))).
  { intros i L. apply (own_positive d own _ 1 ltac:(lra) Lb i L). }
  assert (Out : forall i, (i < n)%nat -> network m (S d) theta (with_one d (fst (sample own i))) = snd (sample own i)).
  { intros i L. rewrite wide_output. exact (memorizing_output d own _ 1 ltac:(lra) Lb Ex i L). }
  assert (Fun : forall (s : point * R) i, (forall w th, network w (S d) th (with_one d (fst s)) = network w (S d) th (with_one d (fst (sample own i)))) ->
    (fun th => network m (S d) th (with_one d (fst s))) = (fun th => network m (S d) th (with_one d (fst (sample own i))))).
  { intros s i E. apply functional_extensionality. intros th. apply E. }
  assert (Fits : fits m d theta data).
  { split; intros s' I; unfold primed in I; apply in_map_iff in I; destruct I as (s & <- & I); cbn [fst snd];
    destruct (At s I) as (i & L & Y & E).
    - rewrite (Fun s i E). apply smooth_with_one. apply (alone_off_kinks m (S d) theta _ i (Act i L)). intros j J N. apply wide_silent; auto.
    - rewrite E, Y. apply Out. auto. }
  apply attaining_is_flattest; [exact Fits|]. intros s I. destruct (At s I) as (i & L & Y & E). rewrite (Fun s i E).
  assert (Same : norm (S d) (with_one d (fst s)) = norm (S d) (with_one d (fst (sample own i)))).
  { rewrite !norm_cube; auto; [apply own_parity; apply nth_In; auto|apply parity; auto]. }
  rewrite (alone_attains m (S d) theta _ i); auto; [|lia|intros j J N; apply wide_silent; auto|].
  - rewrite Out, Y, Same by auto. auto.
  - apply (memorizing_balanced d own _ 1 ltac:(lra) Lb i L).
Qed.

Lemma wide_loss : 1 - INR (length data) / 2 ^ d <= population_loss d (fun x => network m (S d) theta (with_one d x)).
Proof.
  assert (P2 : 0 < 2 ^ d) by (apply pow_lt; lra).
  assert (E : population_loss d (fun x => network m (S d) theta (with_one d x)) = / 2 ^ d * (2 ^ d - INR n)).
  { unfold population_loss, n. rewrite <- (count_unseen d own own_parity). f_equal. apply sum_ext. intros x I. apply cube_on_cube in I.
    rewrite wide_output. unfold theta, n.
    rewrite (own_points_output d own plane own_parity (once_distinct d data) x I).
    destruct (label_cube d x plane I) as [-> | ->], (seen_or_not d own (once_distinct d data) x) as [[-> _]|[-> _]]; ring. }
  rewrite E. assert (L : INR n <= INR (length data)) by (apply le_INR, once_length).
  apply Rmult_le_reg_r with (2 ^ d); auto. rewrite Rmult_minus_distr_r, Rmult_1_l.
  replace (INR (length data) / 2 ^ d * 2 ^ d) with (INR (length data)) by (field; lra).
  replace (/ 2 ^ d * (2 ^ d - INR n) * 2 ^ d) with (2 ^ d - INR n) by (field; lra). lra.
Qed.
End Wide.

(* vardhan2026/flattest-generalize fails with a bias. Every d >= 2, every training set of n samples, repeated or not, every width m >= n:
   the labels are a function of one direction, without noise; four neurons represent them on the whole cube, even as a flattest interpolator;
   and some flattest interpolator of width m has a population loss of at least 1 - n/2^d. *)
Theorem flattest_need_not_generalize : forall m d data, (2 <= d)%nat -> parity_data d data -> (length data <= m)%nat ->
  (forall x, on_cube d x -> label x = dot d direction x ^ 2 / 2 - 1)
  /\ (exists theta, flattest 4 d theta data /\ population_loss d (fun x => network 4 (S d) theta (with_one d x)) = 0)
  /\ (exists theta, flattest m d theta data
       /\ 1 - INR (length data) / 2 ^ d <= population_loss d (fun x => network m (S d) theta (with_one d x))).
Proof.
  intros m d data D P W. split; [intros; apply single_index; auto|split].
  - destruct (generalizing_is_flattest 4 d data ltac:(lia) D P) as [F G]. exists (generalizing d (balanced d)). split; auto.
    unfold population_loss. rewrite sum_zero; [ring|]. intros x I. rewrite G by (apply cube_on_cube; auto). ring.
  - assert (L := once_length d data). exists (own_points d (once d data)). split; [apply wide_flattest|apply wide_loss]; auto; lia.
Qed.
