(* Owns wen2023's statements on simplified LayerNorm: lemma A.12 and propositions 5.1 and 5.2. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Losses Parity.
Import ListNotations.
Open Scope R_scope.

(* || relu(W1' x') || and W2 relu(W1' x') / max(|| relu(W1' x') ||, eps). *)
Definition height (m d : nat) (theta : parameter -> R) (x : point) : R :=
  sqrt (Sum (below m) (fun j => relu (preactivation d theta j x) ^ 2)).
Definition layer_norm (m d : nat) (eps : R) (theta : parameter -> R) (x : point) : R :=
  network m d theta x / Rmax (height m d theta x) eps.

Lemma square_height : forall m d theta x, height m d theta x ^ 2 = Sum (below m) (fun j => relu (preactivation d theta j x) ^ 2).
Proof. intros. unfold height. apply pow2_sqrt. apply sum_nonneg. intros. apply pow2_ge_0. Qed.

Lemma height_nonneg : forall m d theta x, 0 <= height m d theta x.
Proof. intros. apply sqrt_pos. Qed.

Section One.
Variables (m d : nat) (eps : R) (theta : parameter -> R) (x : point).
Hypothesis eps_pos : 0 < eps.

Lemma floor_pos : 0 < Rmax (height m d theta x) eps.
Proof. apply Rlt_le_trans with eps; auto. apply Rmax_r. Qed.

Lemma along_output_norm : forall j t, (j < m)%nat ->
  along (fun th => layer_norm m d eps th x) theta (Output j) t
  = relu (preactivation d theta j x) / Rmax (height m d theta x) eps * t
    + (network m d theta x - theta (Output j) * relu (preactivation d theta j x)) / Rmax (height m d theta x) eps.
Proof.
  intros j t J. pose proof floor_pos. unfold along, layer_norm.
  assert (H' : height m d (update theta (Output j) t) x = height m d theta x) by reflexivity.
  rewrite H'. pose proof (along_output m d theta x j t J) as A. unfold along in A. rewrite A. field. lra.
Qed.

Lemma partial_output_norm : forall j, (j < m)%nat -> partial (fun th => layer_norm m d eps th x) theta (Output j)
  = relu (preactivation d theta j x) / Rmax (height m d theta x) eps.
Proof.
  intros j J. unfold partial. apply is_derive_unique.
  apply jet_first with 0. eapply jet_ext; [intros; symmetry; apply along_output_norm; auto|]. apply jet_affine.
Qed.

(* The outputs' share of the squared gradient is 1 at and above the floor. *)
Lemma above_floor : eps <= height m d theta x ->
  1 <= squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta.
Proof.
  intros H. unfold squared_gradient. rewrite sum_parameters.
  assert (0 <= Sum (below m) (fun j => Sum (below d) (fun k => partial (fun th => layer_norm m d eps th x) theta (Weight j k) ^ 2))).
  { apply sum_nonneg. intros. apply sum_nonneg. intros. apply pow2_ge_0. }
  assert (E : Sum (below m) (fun j => partial (fun th => layer_norm m d eps th x) theta (Output j) ^ 2) = 1).
  { rewrite (sum_ext _ _ (fun j => / Rmax (height m d theta x) eps ^ 2 * relu (preactivation d theta j x) ^ 2)).
    - rewrite sum_scal, <- square_height, Rmax_left by auto. field. lra.
    - intros j J. apply in_below in J. rewrite partial_output_norm by auto. pose proof floor_pos. field. lra. }
  rewrite E. lra.
Qed.

(* Below the floor the height stays there as one weight moves. *)
Lemma stays_below : height m d theta x < eps -> forall j k, (k < d)%nat ->
  locally (theta (Weight j k)) (fun t => height m d (update theta (Weight j k) t) x < eps).
Proof.
  intros H j k K.
  set (g := fun t => Sum (below m) (fun i => relu (preactivation d (update theta (Weight j k) t) i x) ^ 2)).
  assert (D : ex_derive g (theta (Weight j k))).
  { apply ex_derive_ext with (fun t => Sum (below m) (fun i =>
      relu ((if Nat.eq_dec i j then x k else 0) * t
        - ((if Nat.eq_dec i j then theta (Weight j k) * x k else 0) - preactivation d theta i x)) ^ 2)).
    { intros t. apply sum_ext. intros i _. rewrite preactivation_weight by auto. f_equal. f_equal.
      destruct (Nat.eq_dec i j); ring. }
    induction (below m) as [|i l IH]; simpl.
    - apply ex_derive_const.
    - apply @ex_derive_plus; auto. eexists. apply derive_relu_square_comp. }
  assert (C : continuous g (theta (Weight j k))) by (apply @ex_derive_continuous; auto).
  assert (G0 : g (theta (Weight j k)) < eps ^ 2).
  { unfold g. rewrite update_self, <- square_height. pose proof (height_nonneg m d theta x). nra. }
  assert (B : locally (theta (Weight j k)) (fun t => g t < eps ^ 2)).
  { exact (C (fun v => v < eps ^ 2) (open_lt (eps ^ 2) _ G0)). }
  apply filter_imp with (2 := B). intros t L. unfold g in L. rewrite <- square_height in L. pose proof (height_nonneg m d (update theta (Weight j k) t) x). nra.
Qed.

Lemma below_floor : height m d theta x < eps -> (exists k, (k < d)%nat /\ x k <> 0) ->
  twice_differentiable (parameters m d) (fun th => layer_norm m d eps th x) theta ->
  2 / eps * norm d x * Rabs (layer_norm m d eps theta x)
  <= squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta.
Proof.
  intros H X T.
  assert (E : forall j k, (k < d)%nat -> locally (theta (Weight j k)) (fun t =>
     eps * along (fun th => layer_norm m d eps th x) theta (Weight j k) t = along (fun th => network m d th x) theta (Weight j k) t)).
  { intros j k K. apply filter_imp with (2 := stays_below H j k K). intros t L. unfold along, layer_norm.
    rewrite Rmax_right by lra. field. lra. }
  assert (O : off_kinks m d theta x).
  { apply off_kinks_smooth; auto. intros p P. destruct p as [j k|j].
    - destruct (T (Weight j k) P) as (d1 & d2 & J). apply in_parameters in P.
      exists (eps * d1), (eps * d2). apply jet_ext_loc with (1 := E j k (proj2 P)). apply jet_scal. auto.
    - apply in_parameters in P. do 2 eexists. apply jet_output. auto. }
  assert (Q : squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta
     = / eps ^ 2 * squared_gradient (parameters m d) (fun th => network m d th x) theta).
  { unfold squared_gradient. rewrite <- sum_scal. apply sum_ext. intros p P. destruct p as [j k|j].
    - assert (T' := T (Weight j k) P). apply in_parameters in P. destruct P as [J K]. destruct T' as (d1 & d2 & D).
      unfold partial. rewrite (jet_derive _ _ _ _ D).
      assert (D' := jet_ext_loc _ _ _ _ _ (E j k K) (jet_scal eps _ _ _ _ D)). rewrite (jet_derive _ _ _ _ D'). field. lra.
    - apply in_parameters in P. rewrite partial_output_norm by auto. unfold partial.
      rewrite (jet_derive _ _ _ _ (jet_output m d theta x j P)). rewrite Rmax_right by lra. field. lra. }
  rewrite Q. pose proof (gradient_lower_bound m d theta x O) as L.
  assert (Pe : 0 < / eps ^ 2) by (apply Rinv_0_lt_compat, pow_lt; auto).
  apply Rle_trans with (/ eps ^ 2 * (2 * norm d x * Rabs (network m d theta x))).
  - right. unfold layer_norm. rewrite Rmax_right by lra. unfold Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ eps)).
    + field. lra.
    + left. apply Rinv_0_lt_compat. auto.
  - apply Rmult_le_compat_l; lra.
Qed.

Lemma norm_gradient_bound : (exists k, (k < d)%nat /\ x k <> 0) ->
  twice_differentiable (parameters m d) (fun th => layer_norm m d eps th x) theta ->
  Rmin 1 (2 / eps * norm d x * Rabs (layer_norm m d eps theta x))
  <= squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta.
Proof.
  intros X T. destruct (Rle_dec eps (height m d theta x)) as [L|L].
  - apply Rle_trans with 1; [apply Rmin_l|]. apply above_floor. auto.
  - eapply Rle_trans; [apply Rmin_r|]. apply below_floor; auto. lra.
Qed.
End One.

Definition norm_fits (m d : nat) (eps : R) (theta : parameter -> R) (data : samples) : Prop :=
  smooth_on (parameters m (S d)) (layer_norm m (S d) eps) (primed d data) theta
  /\ interpolates (layer_norm m (S d) eps) (primed d data) theta.
Definition norm_sharpness (m d : nat) (eps : R) (theta : parameter -> R) (data : samples) : R :=
  trace (parameters m (S d)) (mse (layer_norm m (S d) eps) (primed d data)) theta.

Lemma norm_sharpness_of : forall m d eps theta data, norm_fits m d eps theta data ->
  norm_sharpness m d eps theta data = 2 / INR (length data) *
    Sum data (fun s => squared_gradient (parameters m (S d)) (fun th => layer_norm m (S d) eps th (with_one d (fst s))) theta).
Proof.
  intros m d eps theta data [S I]. unfold norm_sharpness. rewrite trace_at_interpolation by auto.
  unfold primed at 1. rewrite map_length. f_equal. unfold primed. rewrite sum_map. auto.
Qed.

(* wen2023/lemma-A.12: Tr Hess L >= (2/n) sum_i min(1, (2/eps) ||x'_i|| |y_i|), every width. *)
Theorem layer_norm_bound : forall m d eps theta data, 0 < eps -> norm_fits m d eps theta data ->
  2 / INR (length data) * Sum data (fun s => Rmin 1 (2 / eps * norm (S d) (with_one d (fst s)) * Rabs (snd s)))
  <= norm_sharpness m d eps theta data.
Proof.
  intros m d eps theta data Pe F. rewrite norm_sharpness_of by auto. destruct F as [T I].
  destruct data as [|s0 rest]; [simpl; lra|]. set (data := s0 :: rest) in *.
  assert (0 < / INR (length data)) by (apply Rinv_0_lt_compat; apply lt_0_INR; simpl; lia).
  apply Rmult_le_compat_l; [unfold Rdiv; lra|]. apply sum_le. intros s Is.
  assert (J : In (with_one d (fst s), snd s) (primed d data)) by (unfold primed; apply in_map_iff; exists s; auto).
  pose proof (I _ J) as E. cbn [fst snd] in E. rewrite <- E. apply norm_gradient_bound; auto.
  - exists d. split; [lia|]. unfold with_one. rewrite Nat.eqb_refl. lra.
  - apply (T _ J).
Qed.

(* --- one active neuron above the floor -------------------------------------------------------------------------------------------- *)

Lemma alone_norm : forall m d eps theta x i, (i < m)%nat -> 0 < eps -> eps < preactivation d theta i x ->
  (forall j, (j < m)%nat -> j <> i -> preactivation d theta j x < 0) -> layer_norm m d eps theta x = theta (Output i).
Proof.
  intros m d eps theta x i I Pe A S.
  assert (Hh : height m d theta x = preactivation d theta i x).
  { unfold height. rewrite (sum_single _ _ i); [|apply nodup_below|apply in_below; auto|].
    - rewrite relu_pos by lra. rewrite <- Rsqr_pow2. apply sqrt_Rsqr. lra.
    - intros j J N. apply in_below in J. rewrite relu_neg; [ring|]. left. auto. }
  unfold layer_norm. rewrite Hh, Rmax_left by lra.
  unfold network. rewrite (sum_single _ _ i); [|apply nodup_below|apply in_below; auto|].
  - rewrite relu_pos by lra. field. lra.
  - intros j J N. apply in_below in J. rewrite relu_neg; [ring|]. left. auto.
Qed.

Lemma alone_norm_jet : forall m d eps theta x i, (i < m)%nat -> 0 < eps -> eps < preactivation d theta i x ->
  (forall j, (j < m)%nat -> j <> i -> preactivation d theta j x < 0) -> forall p, In p (parameters m d) ->
  jet (along (fun th => layer_norm m d eps th x) theta p) (theta p) (if same p (Output i) then 1 else 0) 0.
Proof.
  intros m d eps theta x i I Pe A S p P. destruct p as [j k|j]; apply in_parameters in P.
  - destruct P as [J K]. destruct (same (Weight j k) (Output i)); [discriminate|].
    apply jet_ext_loc with (fun _ => theta (Output i)); [|apply jet_const].
    assert (C : continuous (fun t => preactivation d theta j x + (t - theta (Weight j k)) * x k) (theta (Weight j k))).
    { apply @ex_derive_continuous. auto_derive. auto. }
    set (g := fun t => preactivation d theta j x + (t - theta (Weight j k)) * x k) in *.
    assert (G0 : g (theta (Weight j k)) = preactivation d theta j x) by (unfold g; ring).
    assert (V : locally (theta (Weight j k)) (fun t => if Nat.eq_dec j i then eps < g t else g t < 0)).
    { destruct (Nat.eq_dec j i) as [->|N].
      - assert (A1 : eps < g (theta (Weight i k))) by (rewrite G0; auto). exact (C (fun v => eps < v) (open_gt eps _ A1)).
      - assert (A1 : g (theta (Weight j k)) < 0) by (rewrite G0; auto). exact (C (fun v => v < 0) (open_lt 0 _ A1)). }
    apply filter_imp with (2 := V). intros t L. unfold along. symmetry.
    rewrite (alone_norm m d eps _ x i); auto.
    + rewrite preactivation_weight by auto. destruct (Nat.eq_dec i j) as [->|N]; [|lra].
      destruct (Nat.eq_dec j j); [exact L|congruence].
    + intros j' J' N'. rewrite preactivation_weight by auto. destruct (Nat.eq_dec j' j) as [->|N].
      * destruct (Nat.eq_dec j i); [congruence|exact L].
      * rewrite Rplus_0_r. auto.
  - apply jet_ext with (fun t => (if Nat.eq_dec j i then 1 else 0) * t + (if Nat.eq_dec j i then 0 else theta (Output i))).
    + intros t. unfold along. rewrite (alone_norm m d eps _ x i); auto. unfold update.
      destruct (Nat.eq_dec j i) as [->|N]; [destruct (same (Output i) (Output i)); [ring|congruence]|].
      destruct (same (Output i) (Output j)); [congruence|ring].
    + destruct (same (Output j) (Output i)) as [Q|Q], (Nat.eq_dec j i) as [Q'|Q']; try congruence; apply jet_affine.
Qed.

Lemma alone_norm_gradient : forall m d eps theta x i, (i < m)%nat -> 0 < eps -> eps < preactivation d theta i x ->
  (forall j, (j < m)%nat -> j <> i -> preactivation d theta j x < 0) ->
  squared_gradient (parameters m d) (fun th => layer_norm m d eps th x) theta = 1.
Proof.
  intros m d eps theta x i I Pe A S. unfold squared_gradient.
  rewrite (sum_ext _ _ (fun p => if same p (Output i) then 1 else 0)).
  - rewrite sum_parameters. rewrite (sum_single (below m) (fun j => if same (Output j) (Output i) then 1 else 0) i).
    + rewrite sum_zero.
      * destruct (same (Output i) (Output i)); [ring|congruence].
      * intros. apply sum_zero. intros. destruct (same (Weight a a0) (Output i)); [discriminate|auto].
    + apply nodup_below.
    + apply in_below; auto.
    + intros j _ N. destruct (same (Output j) (Output i)); congruence.
  - intros p P. unfold partial. rewrite (jet_derive _ _ _ _ (alone_norm_jet m d eps theta x i I Pe A S p P)).
    destruct (same p (Output i)); ring.
Qed.

(* A network in which each sample activates one neuron, above the floor, and all others have a negative pre-activation. *)
Lemma alone_everywhere : forall m d eps theta data (own : point -> nat), 0 < eps -> data <> [] ->
  (forall s, In s data -> let x := with_one d (fst s) in let i := own (fst s) in
     (i < m)%nat /\ eps < preactivation (S d) theta i x
     /\ (forall j, (j < m)%nat -> j <> i -> preactivation (S d) theta j x < 0) /\ theta (Output i) = snd s) ->
  norm_fits m d eps theta data /\ norm_sharpness m d eps theta data = 2.
Proof.
  intros m d eps theta data own Pe NE H.
  assert (F : norm_fits m d eps theta data).
  { split; intros s' I; unfold primed in I; apply in_map_iff in I; destruct I as (s & <- & I); cbn [fst snd];
    destruct (H s I) as (Li & A & Q & O).
    - intros p P. do 2 eexists. 
      eapply alone_norm_jet; eauto.
    - rewrite (alone_norm m (S d) eps theta _ (own (fst s))); auto. }
  split; auto. rewrite norm_sharpness_of by auto. rewrite (sum_ext _ _ (fun _ => 1)).
  - rewrite sum_const. assert (0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]). field. lra.
  - intros s I. destruct (H s I) as (Li & A & Q & O). eapply alone_norm_gradient; eauto.
Qed.

(* On parity samples with eps < sqrt(d+1) the trace of every network is at least 2. *)
Theorem layer_norm_least : forall m d eps theta data, (2 <= d)%nat -> 0 < eps < sqrt (INR d + 1) -> parity_data d data -> data <> [] ->
  norm_fits m d eps theta data -> 2 <= norm_sharpness m d eps theta data.
Proof.
  intros m d eps theta data D E P N F. eapply Rle_trans; [|apply layer_norm_bound; [lra|auto]].
  rewrite (sum_ext _ _ (fun _ => 1)).
  - rewrite sum_const. assert (0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]).
    right. field. lra.
  - intros s I. destruct (P s I) as [C ->]. rewrite norm_cube by auto.
    replace (Rabs (label (fst s))) with 1.
    2: { destruct (label_cube d (fst s) D C) as [-> | ->]; [rewrite Rabs_R1|rewrite Rabs_left]; lra. }
    apply Rmin_left. apply Rmult_le_reg_r with eps; [lra|].
    replace (2 / eps * sqrt (INR d + 1) * 1 * eps) with (2 * sqrt (INR d + 1)) by (field; lra). lra.
Qed.

(* --- proposition 5.1 ------------------------------------------------------------------------------------------------------------------ *)

(* W1_i = 2 eps x_i / delta, b1_i = 2 eps (-d + delta) / delta, W2_i = y_i. *)
Definition memorizing_norm (d : nat) (data : samples) (eps delta : R) (p : parameter) : R :=
  match p with
  | Weight i k => if (k =? d)%nat then 2 * eps * (- INR d + delta) / delta else 2 * eps * fst (sample data i) k / delta
  | Output i => snd (sample data i)
  end.

Lemma memorizing_norm_preactivation : forall d data eps delta i x, 0 < delta ->
  preactivation (S d) (memorizing_norm d data eps delta) i (with_one d x)
  = 2 * eps / delta * (dot d (fst (sample data i)) x - INR d + delta).
Proof.
  intros. unfold preactivation. rewrite dot_with_one. unfold memorizing_norm. rewrite Nat.eqb_refl.
  replace (dot d (fun k => if (k =? d)%nat then 2 * eps * (- INR d + delta) / delta else 2 * eps * fst (sample data i) k / delta) x)
    with (2 * eps / delta * dot d (fst (sample data i)) x); [field; lra|].
  unfold dot. rewrite <- sum_scal. apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|]. field. lra.
Qed.

(* The index of the sample at a point. *)
Fixpoint index_of (d : nat) (data : samples) (x : point) : nat :=
  match data with [] => 0 | s :: rest => if agree d (fst s) x then 0 else S (index_of d rest x) end.

Lemma index_of_in : forall d data s, In s data ->
  (index_of d data (fst s) < length data)%nat /\ agree d (fst (sample data (index_of d data (fst s)))) (fst s) = true.
Proof.
  induction data as [|s0 rest IH]; intros s I; [destruct I|]. cbn [index_of].
  destruct (agree d (fst s0) (fst s)) eqn:A.
  - split; [simpl; lia|]. exact A.
  - destruct I as [->|I].
    + assert (agree d (fst s) (fst s) = true) by (apply agree_iff; auto). congruence.
    + destruct (IH s I) as [L G]. split; [simpl; lia|]. exact G.
Qed.

(* wen2023/proposition-5.1: n distinct samples, eps < sqrt(d+1): the least trace is 2, and this network memorizes with it. *)
Theorem layer_norm_memorizes : forall d data eps delta, (2 <= d)%nat -> 0 < eps < sqrt (INR d + 1) -> 0 < delta < 2 ->
  parity_data d data -> distinct d data -> data <> [] ->
  let theta := memorizing_norm d data eps delta in let n := length data in
  norm_fits n d eps theta data /\ memorizes n d theta data /\ norm_sharpness n d eps theta data = 2
  /\ forall m' theta', norm_fits m' d eps theta' data -> 2 <= norm_sharpness m' d eps theta' data.
Proof.
  intros d data eps delta D E De P Ds NE theta n.
  assert (Cs : forall i, (i < n)%nat -> on_cube d (fst (sample data i))) by (intros i L; apply P; apply nth_In; auto).
  assert (Own : forall i x, (i < n)%nat -> on_cube d x -> (forall k, (k < d)%nat -> fst (sample data i) k = x k) ->
     preactivation (S d) theta i (with_one d x) = 2 * eps).
  { intros i x L C A. unfold theta. rewrite memorizing_norm_preactivation by lra.
    replace (dot d (fst (sample data i)) x) with (INR d); [field; lra|].
    rewrite <- (squared_norm_cube d x C). apply sum_ext. intros k K. apply in_below in K. rewrite A by auto. ring. }
  assert (Oth : forall i x, (i < n)%nat -> on_cube d x -> ~ (forall k, (k < d)%nat -> fst (sample data i) k = x k) ->
     preactivation (S d) theta i (with_one d x) < 0).
  { intros i x L C A. unfold theta. rewrite memorizing_norm_preactivation by lra.
    pose proof (dot_cube_agree d _ x (Cs i L) C A).
    assert (0 < 2 * eps / delta) by (apply Rdiv_lt_0_compat; lra). nra. }
  assert (Apart : forall i j x, (i < n)%nat -> (j < n)%nat -> j <> i -> (forall k, (k < d)%nat -> fst (sample data i) k = x k) ->
     ~ (forall k, (k < d)%nat -> fst (sample data j) k = x k)).
  { intros i j x Li Lj N A B. apply (Ds j i Lj Li N). intros k K. rewrite A, B; auto. }
  assert (H := alone_everywhere n d eps theta data (index_of d data) ltac:(lra) NE).
  destruct H as [F S].
  { intros s I. cbv zeta. destruct (index_of_in d data s I) as [L A]. assert (A' := proj1 (agree_iff _ _ _) A).
    destruct (P s I) as [C Y]. split; [exact L|]. split; [rewrite Own; auto; lra|]. split.
    - intros j J N. apply Oth; auto. apply (Apart (index_of d data (fst s))); auto.
    - unfold theta, memorizing_norm. destruct (P (sample data (index_of d data (fst s)))) as [_ Y']; [apply nth_In; auto|].
      rewrite Y, Y'. unfold label. rewrite !A' by lia. auto. }
  split; [exact F|]. split; [|split; [exact S|intros; apply layer_norm_least; auto]].
  exists (fun i => i). split; auto. intros i L. split; auto. intros j J. split.
  - intros Pz. destruct (Nat.eq_dec j i) as [|N]; auto. exfalso.
    assert (preactivation (Datatypes.S d) theta j (with_one d (fst (sample data i))) < 0); [|lra].
    apply (Oth j _ J (Cs i L)). apply (Apart i j _ L J N). auto.
  - intros ->. rewrite (Own i _ L (Cs i L)); auto. lra.
Qed.

(* --- proposition 5.2 ------------------------------------------------------------------------------------------------------------------ *)

(* W1 = 2 eps [(-1)^i, (-1)^j, 0, ...], b1 = -2 eps, W2 = (-1)^(i+j); further neurons are dead, of bias -1. *)
Definition generalizing_norm (d : nat) (eps : R) : parameter -> R :=
  heads d (fun j => if (j <? 4)%nat then (2 * eps * first_sign j, 2 * eps * second_sign j, - (2 * eps)) else (0, 0, - 1))
    (fun j => if (j <? 4)%nat then first_sign j * second_sign j else 0).

Lemma generalizing_norm_alone : forall m d eps x, (4 <= m)%nat -> (2 <= d)%nat -> 0 < eps -> on_cube d x ->
  let theta := generalizing_norm d eps in let i := own_head x in
  (i < m)%nat /\ eps < preactivation (S d) theta i (with_one d x)
  /\ (forall j, (j < m)%nat -> j <> i -> preactivation (S d) theta j (with_one d x) < 0) /\ theta (Output i) = label x.
Proof.
  intros m d eps x M D Pe C theta i.
  assert (Pre : forall j, preactivation (S d) theta j (with_one d x)
    = if (j <? 4)%nat then 2 * eps * (first_sign j * x 0%nat + second_sign j * x 1%nat - 1) else - 1).
  { intros j. unfold theta, generalizing_norm. rewrite heads_preactivation by auto. destruct (j <? 4)%nat; ring. }
  split; [unfold i, own_head; repeat destruct (Rlt_dec _ _); lia|].
  unfold i. clear i.
  split; [|split].
  - rewrite Pre. unfold own_head.
    destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
    repeat destruct (Rlt_dec _ _); try lra; simpl; lra.
  - intros j J N. rewrite Pre. destruct (Nat.ltb_spec j 4) as [L|L]; [|lra].
    assert (K : first_sign j * x 0%nat + second_sign j * x 1%nat - 1 < 0).
    { unfold own_head in N.
      destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1 in N |- *;
      repeat destruct (Rlt_dec _ _); try lra; destruct j as [|[|[|[|j]]]]; try lia; try congruence; simpl; lra. }
    nra.
  - unfold theta, generalizing_norm, heads, own_head, label.
    destruct (C 0%nat ltac:(lia)) as [E0|E0], (C 1%nat ltac:(lia)) as [E1|E1]; rewrite E0, E1;
    repeat destruct (Rlt_dec _ _); try lra; simpl; lra.
Qed.

(* Output weights times c. *)
Definition outputs_times (c : R) (theta : parameter -> R) (p : parameter) : R :=
  match p with Output j => c * theta (Output j) | Weight j k => theta (Weight j k) end.

Lemma network_outputs_times : forall c m d theta x, network m d (outputs_times c theta) x = c * network m d theta x.
Proof.
  intros. unfold network. rewrite <- sum_scal. apply sum_ext. intros j _.
  change (preactivation d (outputs_times c theta) j x) with (preactivation d theta j x). simpl. ring.
Qed.

(* The floor does not change a sign. *)
Lemma same_sign : forall m d eps theta x y, 0 < eps ->
  (0 < y * layer_norm m d eps theta x <-> 0 < y * network m d theta x).
Proof.
  intros. unfold layer_norm. set (h := Rmax (height m d theta x) eps).
  assert (0 < h) by (apply Rlt_le_trans with eps; auto; apply Rmax_r).
  unfold Rdiv. rewrite <- Rmult_assoc. pose proof (Rinv_0_lt_compat h H0). split; intros; nra.
Qed.

(* wen2023/proposition-5.2 as corrected: n >= 3, eps < sqrt(d+1): a network of width n attains the least trace 2, right on the cube. *)
Theorem layer_norm_generalizes : forall d data eps, (2 <= d)%nat -> 0 < eps < sqrt (INR d + 1) -> parity_data d data ->
  (3 <= length data)%nat -> let n := length data in
  (exists theta, norm_fits n d eps theta data /\ norm_sharpness n d eps theta data = 2
     /\ forall x, on_cube d x -> 0 < label x * layer_norm n (S d) eps theta (with_one d x))
  /\ forall m' theta', norm_fits m' d eps theta' data -> 2 <= norm_sharpness m' d eps theta' data.
Proof.
  intros d data eps D E P L n.
  assert (NE : data <> []) by (intros ->; simpl in L; lia).
  split; [|intros; apply layer_norm_least; auto].
  destruct (le_lt_dec 4 n) as [W|W].
  - exists (generalizing_norm d eps).
    destruct (alone_everywhere n d eps (generalizing_norm d eps) data own_head ltac:(lra) NE) as [F S].
    { intros s I. cbv zeta. destruct (P s I) as [C Y]. rewrite Y. apply generalizing_norm_alone; auto; lra. }
    split; [exact F|]. split; [exact S|]. intros x C.
    destruct (generalizing_norm_alone n d eps x W D ltac:(lra) C) as (H1 & H2 & H3 & H4).
    rewrite (alone_norm n (Datatypes.S d) eps _ _ (own_head x)); auto; [|lra]. rewrite H4.
    destruct (label_cube d x D C) as [-> | ->]; lra.
  - assert (N3 : n = 3%nat) by (unfold n in *; lia).
    destruct (three_samples_lack d data) as (p & q & Hp & Hq & K); [lia|].
    set (theta := outputs_times (2 * eps) (three d p q (2 * eps))). exists theta. rewrite N3.
    destruct (alone_everywhere 3 d eps theta data (seen_by p q) ltac:(lra) NE) as [F S].
    { intros s I. cbv zeta. destruct (P s I) as [C Y].
      destruct (three_alone 3 d p q (2 * eps) ltac:(lia) D ltac:(lra) Hp Hq (fst s) C (K s I)) as (H1 & H2 & H3).
      split; [unfold seen_by; repeat destruct (Req_EM_T _ _); lia|].
      split; [change (eps < preactivation (Datatypes.S d) (three d p q (2 * eps)) (seen_by p q (fst s)) (with_one d (fst s))); lra|].
      split.
      - intros j J N. destruct (H2 j J N) as [_ Z]. apply Z. unfold three, heads.
        assert (p * q <> 0) by (destruct Hp, Hq; subst; lra).
        assert (/ (2 * eps) <> 0) by (apply Rinv_neq_0_compat; lra).
        destruct j as [|[|[|j]]]; try lia; unfold Rdiv; repeat (apply Rmult_integral_contrapositive_currified; auto); lra.
      - unfold theta, outputs_times. rewrite H3, Y. field. lra. }
    split; [exact F|]. split; [exact S|]. intros x C. apply same_sign; [lra|].
    unfold theta. rewrite network_outputs_times.
    pose proof (three_right 3 d p q (2 * eps) ltac:(lia) D ltac:(lra) Hp Hq x C). nra.
Qed.

(* As printed it fails at n = 1 and 2: no network of width 1 or 2 is right on the cube. *)
Theorem layer_norm_one_or_two_fail : forall m d eps theta, (m <= 2)%nat -> (2 <= d)%nat -> 0 < eps ->
  exists x, on_cube d x /\ label x * layer_norm m (S d) eps theta (with_one d x) <= 0.
Proof.
  intros m d eps theta M D Pe. destruct (one_or_two_neurons_fail m d theta M D) as (x & C & H). exists x. split; auto.
  destruct (Rle_dec (label x * layer_norm m (S d) eps theta (with_one d x)) 0); auto.
  assert (0 < label x * network m (S d) theta (with_one d x)); [|lra]. apply (same_sign m (S d) eps); auto. lra.
Qed.
