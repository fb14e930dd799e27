(* Owns wen2023/theorem-5.1: memorizing networks with simplified LayerNorm that attain lemma A.12's bound, and what fails as printed. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Parity LayerNorm.
Import ListNotations.
Open Scope R_scope.

(* --- one active neuron below the floor ------------------------------------------------------------------------------------------------- *)

Section Below.
Variables (m d : nat) (eps : R) (theta : parameter -> R) (x : point) (i : nat).
Hypothesis eps_pos : 0 < eps.
Hypothesis I : (i < m)%nat.
Hypothesis active : 0 < preactivation d theta i x < eps.
Hypothesis silent : forall j, (j < m)%nat -> j <> i -> preactivation d theta j x < 0.

Lemma alone_height : height m d theta x = preactivation d theta i x.
Proof.
  unfold height. rewrite (sum_single _ _ i); [|apply nodup_below|apply in_below; auto|].
  - rewrite relu_pos by lra. rewrite <- Rsqr_pow2. apply sqrt_Rsqr. lra.
  - intros j J N. apply in_below in J. rewrite relu_neg; [ring|]. left. auto.
Qed.

Lemma quiet_others : forall j, (j < m)%nat -> j <> i ->
  preactivation d theta j x <= 0 /\ (theta (Output j) <> 0 -> preactivation d theta j x < 0).
Proof. intros j J N. pose proof (silent j J N). split; [lra|auto]. Qed.

Lemma below_output : layer_norm m d eps theta x = theta (Output i) * preactivation d theta i x / eps.
Proof.
  unfold layer_norm. rewrite alone_height, Rmax_right by lra.
  rewrite (alone_output m d theta x i I); [auto|lra|apply quiet_others].
Qed.

Lemma below_jet : forall p, In p (parameters m d) -> exists d1, jet (along (fun th => layer_norm m d eps th x) theta p) (theta p) d1 0
  /\ d1 = / eps * partial (fun th => network m d th x) theta p.
Proof.
  intros p P. assert (O : off_kinks m d theta x) by (apply alone_off_kinks with i; [lra|apply quiet_others]).
  destruct p as [j k|j]; apply in_parameters in P.
  - destruct P as [J K]. eexists. split.
    + apply jet_ext_loc with (fun t => / eps * along (fun th => network m d th x) theta (Weight j k) t).
      * apply filter_imp with (2 := stays_below m d eps theta x eps_pos ltac:(rewrite alone_height; lra) j k K). intros t L.
        unfold along, layer_norm. rewrite Rmax_right by lra. field. lra.
      * eapply jet_eq; [reflexivity| |apply jet_scal; apply jet_weight; auto]. ring.
    + unfold partial. rewrite (jet_derive _ _ _ _ (jet_weight m d theta x j k J K O)). auto.
  - eexists. split.
    + eapply jet_ext; [intros; symmetry; apply along_output_norm; auto|]. apply jet_affine.
    + unfold partial. rewrite (jet_derive _ _ _ _ (jet_output m d theta x j P)), alone_height, Rmax_right by lra. field. lra.
Qed.

Lemma below_gradient : squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta
  = / eps ^ 2 * (theta (Output i) ^ 2 * norm d x ^ 2 + preactivation d theta i x ^ 2).
Proof.
  rewrite <- (alone_gradient m d theta x i I ltac:(lra) quiet_others). unfold squared_gradient. rewrite <- sum_scal. apply sum_ext. intros p P.
  destruct (below_jet p P) as (d1 & J & E). unfold partial at 1. rewrite (jet_derive _ _ _ _ J), E. field. lra.
Qed.
End Below.

(* --- the construction --------------------------------------------------------------------------------------------------------------------- *)

(* W1_i = u_i w_i / delta, b1_i = u_i (-w_i . x_i + delta) / delta, W2_i = r_i y_i, with t_i = ||x'_i|| |y_i| / eps: r_i = 1, u_i = 2 eps
   where t_i is above a switch (printed: 1; as corrected: 1/2), r_i = t_i^(-1/2), u_i = eps t_i^(1/2) elsewhere. *)
Definition ratio (d : nat) (eps : R) (s : point * R) : R := norm (S d) (with_one d (fst s)) * Rabs (snd s) / eps.
Definition level (d : nat) (eps switch : R) (s : point * R) : R :=
  if Rlt_dec switch (ratio d eps s) then 2 * eps else eps * sqrt (ratio d eps s).
Definition gain (d : nat) (eps switch : R) (s : point * R) : R := if Rlt_dec switch (ratio d eps s) then 1 else / sqrt (ratio d eps s).
Definition memorizing_ln (d : nat) (data : samples) (w : nat -> point) (delta eps switch : R) (p : parameter) : R :=
  match p with
  | Weight i k => if (k =? d)%nat then level d eps switch (sample data i) * (- dot d (w i) (fst (sample data i)) + delta) / delta
                  else level d eps switch (sample data i) * w i k / delta
  | Output i => gain d eps switch (sample data i) * snd (sample data i)
  end.

Lemma preactivation_ln : forall d data w delta eps switch i x, delta <> 0 ->
  preactivation (S d) (memorizing_ln d data w delta eps switch) i (with_one d x)
  = level d eps switch (sample data i) * (dot d (w i) x - dot d (w i) (fst (sample data i)) + delta) / delta.
Proof.
  intros. unfold preactivation. rewrite dot_with_one. unfold memorizing_ln. rewrite Nat.eqb_refl. set (u := level d eps switch (sample data i)).
  replace (dot d (fun k => if (k =? d)%nat then u * (- dot d (w i) (fst (sample data i)) + delta) / delta else u * w i k / delta) x)
    with (u / delta * dot d (w i) x); [field; auto|].
  unfold dot. rewrite <- sum_scal. apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|]. field. auto.
Qed.

Section Memorizing.
Variables (d : nat) (data : samples) (w : nat -> point) (delta eps switch : R).
Hypothesis delta_pos : 0 < delta.
Hypothesis eps_pos : 0 < eps.
Hypothesis switch_low : 0 < switch < 1.
Hypothesis labels : forall s, In s data -> snd s <> 0.
Hypothesis extreme : forall i j, (i < length data)%nat -> (j < length data)%nat -> i <> j ->
  dot d (w i) (fst (sample data j)) + delta < dot d (w i) (fst (sample data i)).
Let n := length data.
Let theta := memorizing_ln d data w delta eps switch.
Let x' i := with_one d (fst (sample data i)).
Let t i := ratio d eps (sample data i).
Let u i := level d eps switch (sample data i).

Lemma t_pos : forall i, (i < n)%nat -> 0 < t i.
Proof.
  intros i L. unfold t, ratio. apply Rdiv_lt_0_compat; auto. apply Rmult_lt_0_compat; [apply norm_with_one_pos|].
  apply Rabs_pos_lt, labels, nth_In. auto.
Qed.

Lemma root_t : forall i, (i < n)%nat -> 0 < sqrt (t i) /\ sqrt (t i) * sqrt (t i) = t i.
Proof. intros i L. pose proof (t_pos i L). split; [apply sqrt_lt_R0; auto|apply sqrt_sqrt; lra]. Qed.

Lemma u_is : forall i, u i = if Rlt_dec switch (t i) then 2 * eps else eps * sqrt (t i).
Proof. reflexivity. Qed.

Lemma u_pos : forall i, (i < n)%nat -> 0 < u i.
Proof. intros i L. destruct (root_t i L). rewrite u_is. destruct (Rlt_dec switch (t i)); [lra|nra]. Qed.

Lemma own_pre : forall i, (i < n)%nat -> preactivation (S d) theta i (x' i) = u i.
Proof. intros. unfold theta, x'. rewrite preactivation_ln by lra. fold (u i). field. lra. Qed.

Lemma other_pre : forall i j, (i < n)%nat -> (j < n)%nat -> j <> i -> preactivation (S d) theta j (x' i) < 0.
Proof.
  intros i j Li Lj N. unfold theta, x'. rewrite preactivation_ln by lra. fold (u j).
  pose proof (u_pos j Lj). pose proof (extreme j i Lj Li N).
  unfold Rdiv. pose proof (Rinv_0_lt_compat _ delta_pos). rewrite Rmult_assoc.
  set (v := dot d (w j) (fst (sample data i)) - dot d (w j) (fst (sample data j)) + delta).
  assert (0 < - v * / delta) by (apply Rmult_lt_0_compat; unfold v; lra).
  assert (0 < u j * (- v * / delta)) by (apply Rmult_lt_0_compat; auto). lra.
Qed.

Lemma in_data : forall s, In s data -> exists i, (i < n)%nat /\ s = sample data i.
Proof. intros s Is. apply (In_nth _ _ (fun _ => 0, 0)) in Is. destruct Is as (i & L & E). exists i. auto. Qed.

Lemma ln_at_sample : forall i, (i < n)%nat ->
  twice_differentiable (parameters n (S d)) (fun th => layer_norm n (S d) eps th (x' i)) theta
  /\ layer_norm n (S d) eps theta (x' i) = snd (sample data i)
  /\ squared_gradient (parameters n (S d)) (fun th => layer_norm n (S d) eps th (x' i)) theta = (if Rlt_dec switch (t i) then 1 else 2 * t i).
Proof.
  intros i L. destruct (root_t i L) as [R0 R1]. pose proof (t_pos i L) as T0. pose proof (own_pre i L) as Op. rewrite u_is in Op.
  assert (Out : theta (Output i) = (if Rlt_dec switch (t i) then 1 else / sqrt (t i)) * snd (sample data i)) by reflexivity.
  destruct (Rlt_dec switch (t i)) as [H|H].
  - assert (A : eps < preactivation (S d) theta i (x' i)) by lra.
    split; [|split].
    + intros p P. do 2 eexists. apply (alone_norm_jet n (S d) eps theta (x' i) i L eps_pos A (fun j J N => other_pre i j L J N) p P).
    + rewrite (alone_norm n (S d) eps theta (x' i) i L eps_pos A (fun j J N => other_pre i j L J N)), Out. ring.
    + apply (alone_norm_gradient n (S d) eps theta (x' i) i L eps_pos A (fun j J N => other_pre i j L J N)).
  - assert (Sm : sqrt (t i) < 1).
    { rewrite <- sqrt_1. apply sqrt_lt_1; lra. }
    assert (A : 0 < preactivation (S d) theta i (x' i) < eps) by (rewrite Op; split; nra).
    split; [|split].
    + intros p P. destruct (below_jet n (S d) eps theta (x' i) i eps_pos L A (fun j J N => other_pre i j L J N) p P) as (d1 & J & _). eauto.
    + rewrite (below_output n (S d) eps theta (x' i) i L A (fun j J N => other_pre i j L J N)), Out, Op. field. lra.
    + rewrite (below_gradient n (S d) eps theta (x' i) i eps_pos L A (fun j J N => other_pre i j L J N)), Out, Op.
      assert (E : snd (sample data i) ^ 2 * norm (S d) (x' i) ^ 2 = t i ^ 2 * eps ^ 2).
      { unfold t, ratio. fold (x' i). rewrite <- (pow2_abs (snd (sample data i))). field. lra. }
      replace ((/ sqrt (t i) * snd (sample data i)) ^ 2 * norm (S d) (x' i) ^ 2)
        with (/ (sqrt (t i) * sqrt (t i)) * (snd (sample data i) ^ 2 * norm (S d) (x' i) ^ 2)) by (field; lra).
      replace ((eps * sqrt (t i)) ^ 2) with (eps ^ 2 * (sqrt (t i) * sqrt (t i))) by ring. rewrite E, R1. field. lra.
Qed.

Lemma ln_fits : norm_fits n d eps theta data.
Proof.
  split; intros s' Is; unfold primed in Is; apply in_map_iff in Is; destruct Is as (s & <- & Is); cbn [fst snd];
  destruct (in_data s Is) as (i & L & ->); apply (ln_at_sample i L).
Qed.

Lemma ln_memorizes : memorizes n d theta data.
Proof.
  exists (fun i => i). split; auto. intros i L. split; auto. intros j J. fold (x' i). split.
  - intros P. destruct (Nat.eq_dec j i) as [|N]; auto. pose proof (other_pre i j L J N). lra.
  - intros ->. rewrite own_pre by auto. apply u_pos. auto.
Qed.
End Memorizing.

(* wen2023/theorem-5.1 as corrected, the cases meeting at ||x'|| |y| = eps/2: labels not 0, every eps > 0: memorizes, and no interpolating
   network of any width has a smaller trace. *)
Theorem layer_norm_memorizing : forall d data w delta eps, 0 < delta -> 0 < eps -> (forall s, In s data -> snd s <> 0) ->
  (forall i j, (i < length data)%nat -> (j < length data)%nat -> i <> j ->
     dot d (w i) (fst (sample data j)) + delta < dot d (w i) (fst (sample data i))) ->
  let theta := memorizing_ln d data w delta eps (1 / 2) in let n := length data in
  norm_fits n d eps theta data /\ memorizes n d theta data
  /\ norm_sharpness n d eps theta data = 2 / INR n * Sum data (fun s => Rmin 1 (2 / eps * norm (S d) (with_one d (fst s)) * Rabs (snd s)))
  /\ forall m' theta', norm_fits m' d eps theta' data -> norm_sharpness n d eps theta data <= norm_sharpness m' d eps theta' data.
Proof.
  intros d data w delta eps De Ee Lb Ex theta n.
  assert (H12 : 0 < 1 / 2 < 1) by lra.
  assert (F := ln_fits d data w delta eps (1 / 2) De Ee H12 Lb Ex). fold theta in F. fold n in F.
  assert (V : norm_sharpness n d eps theta data = 2 / INR n * Sum data (fun s => Rmin 1 (2 / eps * norm (S d) (with_one d (fst s)) * Rabs (snd s)))).
  { rewrite norm_sharpness_of by auto. f_equal. apply sum_ext. intros s Is.
    destruct (in_data data s Is) as (i & L & ->).
    destruct (ln_at_sample d data w delta eps (1 / 2) De Ee H12 Lb Ex i L) as (_ & _ & G).
    etransitivity; [exact G|].
    replace (2 / eps * norm (S d) (with_one d (fst (sample data i))) * Rabs (snd (sample data i))) with (2 * ratio d eps (sample data i))
      by (unfold ratio; field; lra).
    unfold Rmin. destruct (Rlt_dec (1 / 2) (ratio d eps (sample data i))), (Rle_dec 1 (2 * ratio d eps (sample data i))); lra. }
  split; [exact F|]. split; [apply ln_memorizes; auto|]. split; [exact V|].
  intros m' theta' F'. rewrite V. apply layer_norm_bound; auto.
Qed.

(* As printed, the cases meeting at ||x'|| |y| = eps, the construction is not least: x = 0, y = 3/4 eps: trace 3, and 2 with case (1). *)
Theorem printed_cases_refuted : forall eps, 0 < eps -> let data : samples := [((fun _ => 0), 3 / 4 * eps)] in
  let net switch := memorizing_ln 1 data (fun _ _ => 0) 1 eps switch in
  ratio 1 eps (sample data 0) = 3 / 4
  /\ (norm_fits 1 1 eps (net (4 / 5)) data /\ norm_sharpness 1 1 eps (net (4 / 5)) data = 3)
  /\ (norm_fits 1 1 eps (net (1 / 2)) data /\ norm_sharpness 1 1 eps (net (1 / 2)) data = 2)
  /\ forall p, net 1 p = net (4 / 5) p.
Proof.
  intros eps Ee data net.
  assert (N1 : norm 2 (with_one 1 (fun _ => 0)) = 1).
  { unfold norm. rewrite squared_norm_with_one. unfold squared_norm. simpl. replace (0 * (0 * 1) + 0 + 1) with 1 by ring. apply sqrt_1. }
  assert (T : ratio 1 eps (sample data 0) = 3 / 4).
  { unfold ratio, sample, data. cbn [nth fst snd]. rewrite N1, Rabs_pos_eq by nra. field. lra. }
  assert (Lb : forall s, In s data -> snd s <> 0) by (intros s [<-|[]]; cbn [snd]; nra).
  assert (Ex : forall i j, (i < length data)%nat -> (j < length data)%nat -> i <> j ->
     dot 1 (fun _ => 0) (fst (sample data j)) + 1 < dot 1 (fun _ => 0) (fst (sample data i))) by (simpl; intros; lia).
  assert (Sh : forall sw, 0 < sw < 1 -> norm_fits 1 1 eps (net sw) data
     /\ norm_sharpness 1 1 eps (net sw) data = 2 * (if Rlt_dec sw (3 / 4) then 1 else 2 * (3 / 4))).
  { intros sw H.
    assert (F := ln_fits 1 data (fun _ _ => 0) 1 eps sw ltac:(lra) Ee H Lb Ex). split; [exact F|].
    rewrite norm_sharpness_of by exact F.
    destruct (ln_at_sample 1 data (fun _ _ => 0) 1 eps sw ltac:(lra) Ee H Lb Ex 0%nat ltac:(simpl; lia)) as (_ & _ & G).
    rewrite T in G. unfold sample in G. simpl nth in G. unfold data at 1 2. cbn [length INR Sum fst]. rewrite Rplus_0_r.
    etransitivity; [apply f_equal; exact G|]. field. }
  split; [exact T|]. split; [|split].
  - destruct (Sh (4 / 5) ltac:(lra)) as [F V]. split; [exact F|]. rewrite V. destruct (Rlt_dec (4 / 5) (3 / 4)); lra.
  - destruct (Sh (1 / 2) ltac:(lra)) as [F V]. split; [exact F|]. rewrite V. destruct (Rlt_dec (1 / 2) (3 / 4)); lra.
  - intros p. unfold net, memorizing_ln, level, gain. destruct p as [i k|i].
    + destruct i as [|i].
      * rewrite T. destruct (Rlt_dec 1 (3 / 4)), (Rlt_dec (4 / 5) (3 / 4)); try lra; auto.
      * assert (Z : ratio 1 eps (sample data (S i)) = 0).
        { unfold ratio, sample, data. destruct i; simpl; rewrite Rabs_R0; field; lra. }
        rewrite Z. destruct (Rlt_dec 1 0), (Rlt_dec (4 / 5) 0); try lra; auto.
    + destruct i as [|i].
      * rewrite T. destruct (Rlt_dec 1 (3 / 4)), (Rlt_dec (4 / 5) (3 / 4)); try lra; auto.
      * assert (Z : ratio 1 eps (sample data (S i)) = 0).
        { unfold ratio, sample, data. destruct i; simpl; rewrite Rabs_R0; field; lra. }
        rewrite Z. destruct (Rlt_dec 1 0), (Rlt_dec (4 / 5) 0); try lra; auto.
Qed.

(* A label 0: at x = 0, y = 0 the network of width 0 has trace 0, and every memorizing one a trace above 0. *)
Theorem layer_norm_zero_label : forall eps, 0 < eps -> let data : samples := [((fun _ => 0), 0)] in
  (forall theta, norm_fits 0 1 eps theta data /\ norm_sharpness 0 1 eps theta data = 0)
  /\ forall m theta, norm_fits m 1 eps theta data -> memorizes m 1 theta data -> 0 < norm_sharpness m 1 eps theta data.
Proof.
  intros eps Ee data.
  assert (F0 : forall theta, norm_fits 0 1 eps theta data).
  { intros. split; intros s [<-|[]].
    - intros p P. destruct P.
    - unfold layer_norm, network. simpl. unfold Rdiv. ring. }
  split.
  - intros theta. split; [auto|]. rewrite (norm_sharpness_of 0 1 eps theta data) by auto. simpl. unfold squared_gradient, parameters. simpl. lra.
  - intros m theta F (own & _ & Mm). rewrite norm_sharpness_of by auto.
    destruct (Mm 0%nat) as [O A]; [simpl; lia|]. unfold sample, data in A. simpl nth in A. cbn [fst] in A.
    set (x := with_one 1 (fun _ => 0)) in *.
    assert (P : 0 < preactivation 2 theta (own 0%nat) x) by (apply A; auto).
    pose proof (floor_pos m 2 eps theta x Ee) as Fl.
    unfold data. cbn [length INR Sum fst]. fold x. unfold squared_gradient. rewrite sum_parameters.
    assert (0 <= Sum (below m) (fun j => Sum (below 2) (fun k => partial (fun th => layer_norm m 2 eps th x) theta (Weight j k) ^ 2))).
    { apply sum_nonneg. intros. apply sum_nonneg. intros. apply pow2_ge_0. }
    assert (partial (fun th => layer_norm m 2 eps th x) theta (Output (own 0%nat)) ^ 2
       <= Sum (below m) (fun j => partial (fun th => layer_norm m 2 eps th x) theta (Output j) ^ 2)).
    { apply (sum_term_le (below m) (fun j => partial (fun th => layer_norm m 2 eps th x) theta (Output j) ^ 2)).
      - intros; apply pow2_ge_0.
      - apply in_below; auto. }
    rewrite partial_output_norm in H0 by auto. rewrite relu_pos in H0 by lra.
    assert (0 < (preactivation 2 theta (own 0%nat) x / Rmax (height m 2 theta x) eps) ^ 2).
    { apply pow_lt. apply Rdiv_lt_0_compat; auto. }
    unfold Rdiv at 1. rewrite Rinv_1. lra.
Qed.
