(* Owns wen2023's equations 3 and 4, the lower bound of the trace, and theorem 4.1's network at depth 2 with what fails of it. *)
From Coq Require Import Reals List Lra Lia Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks.
Import ListNotations.
Open Scope R_scope.

Section One.
Variables (m d : nat) (theta : parameter -> R) (x : point).
Let f := network m d theta x.
Let r := norm d x.
Let a j := theta (Output j).
Let z j := preactivation d theta j x.

Lemma output_step : f = Sum (below m) (fun j => a j * step (z j) * relu (z j)).
Proof. apply sum_ext. intros. unfold a, z. rewrite Rmult_assoc, step_relu. auto. Qed.

(* ||grad f||^2 - 2 ||x|| |f| as a sum of squares. *)
Lemma gradient_gap : off_kinks m d theta x -> forall s, s * f = Rabs f -> s * s = 1 ->
  squared_gradient (parameters m d) (fun th => network m d th x) theta
  = 2 * r * Rabs f + Sum (below m) (fun j => (a j * step (z j) * r - s * relu (z j)) ^ 2).
Proof.
  intros O s S Q. rewrite gradient_norm by auto. rewrite <- S, output_step. fold r. rewrite <- norm_square. fold r.
  rewrite <- sum_scal_r, <- sum_scal, <- sum_scal, <- !sum_plus. apply sum_ext. intros j _. unfold a, z.
  set (b := theta (Output j)). set (t := step _). set (h := relu _).
  replace ((b * t * r - s * h) ^ 2) with ((b * t * r) ^ 2 - 2 * s * b * t * r * h + (s * s) * h ^ 2) by ring.
  rewrite Q. ring.
Qed.

Lemma sign_of_output : exists s, s * f = Rabs f /\ s * s = 1 /\ (f <> 0 -> s = sgn f).
Proof.
  destruct (Req_dec f 0) as [E|N].
  - exists 1. rewrite E, Rabs_R0. repeat split; try lra. 
  - exists (sgn f). repeat split; auto using sgn_abs, sgn_square.
Qed.

(* wen2023/equation-3. *)
Theorem gradient_lower_bound : off_kinks m d theta x ->
  2 * r * Rabs f <= squared_gradient (parameters m d) (fun th => network m d th x) theta.
Proof.
  intros O. destruct sign_of_output as (s & S & Q & _). rewrite (gradient_gap O s S Q).
  assert (0 <= Sum (below m) (fun j => (a j * step (z j) * r - s * relu (z j)) ^ 2)); [|lra].
  apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

(* wen2023/equation-4 as corrected, necessary and sufficient: a * 1[z > 0] = sign(f) relu(z) / ||x||, both sides 0 where f = 0. *)
Theorem gradient_bound_attained_iff : off_kinks m d theta x -> 0 < r ->
  (squared_gradient (parameters m d) (fun th => network m d th x) theta = 2 * r * Rabs f
   <-> forall j, (j < m)%nat -> a j * step (z j) = sgn f * (relu (z j) / r) /\ (f = 0 -> relu (z j) = 0)).
Proof.
  intros O P. split.
  - intros E j J. apply in_below in J.
    destruct sign_of_output as (s & S & Q & C).
    assert (G := gradient_gap O s S Q). rewrite E in G.
    destruct (Req_dec f 0) as [Z|N].
    + rewrite gradient_norm in E by auto. rewrite Z, Rabs_R0, Rmult_0_r in E.
      assert (H1 : 0 <= Sum (below m) (fun j => (theta (Output j) * step (preactivation d theta j x)) ^ 2) * squared_norm d x).
      { apply Rmult_le_pos; [apply sum_nonneg; intros; apply pow2_ge_0|apply squared_norm_nonneg]. }
      assert (H2 : 0 <= Sum (below m) (fun j => relu (preactivation d theta j x) ^ 2)) by (apply sum_nonneg; intros; apply pow2_ge_0).
      assert (R2 : forall j, In j (below m) -> relu (z j) = 0).
      { intros i I. assert (K : relu (z i) ^ 2 = 0).
        { apply (sum_nonneg_zero (below m) (fun j => relu (z j) ^ 2)); auto; [intros; apply pow2_ge_0|unfold z; lra]. }
        destruct (Req_dec (relu (z i)) 0); auto. apply pow_nonzero with (n := 2%nat) in H. contradiction. }
      split; [|intros _; apply R2; auto].
      rewrite (R2 j J). unfold Rdiv. rewrite Rmult_0_l, Rmult_0_r.
      unfold step. destruct (Rlt_dec 0 (z j)) as [L|L]; [|ring].
      rewrite <- (R2 j J). pose proof (relu_ge (z j)). rewrite (R2 j J) in H. lra.
    + split; [|intros; contradiction].
      assert (K : (a j * step (z j) * r - s * relu (z j)) ^ 2 = 0).
      { apply (sum_nonneg_zero (below m) (fun j => (a j * step (z j) * r - s * relu (z j)) ^ 2)); auto;
          [intros; apply pow2_ge_0|lra]. }
      assert (L : a j * step (z j) * r - s * relu (z j) = 0).
      { destruct (Req_dec (a j * step (z j) * r - s * relu (z j)) 0) as [|N']; auto.
        apply pow_nonzero with (n := 2%nat) in N'. contradiction. }
      rewrite <- (C N). apply Rmult_eq_reg_r with r; [|lra]. field_simplify; lra.
  - intros H. destruct sign_of_output as (s & S & Q & C). rewrite (gradient_gap O s S Q).
    rewrite (sum_zero _ (fun j => (a j * step (z j) * r - s * relu (z j)) ^ 2)); [ring|].
    intros j J. apply in_below in J. destruct (H j J) as [E Z].
    destruct (Req_dec f 0) as [F|N].
    + rewrite E, (Z F). unfold Rdiv. ring.
    + rewrite E, (C N). replace (sgn f * (relu (z j) / r) * r - sgn f * relu (z j)) with 0 by (field; lra). ring.
Qed.

(* wen2023/equation-4 as printed: without the sign the condition is sufficient. *)
Theorem gradient_bound_attained : off_kinks m d theta x -> 0 < r ->
  (forall j, (j < m)%nat -> a j * step (z j) = relu (z j) / r) ->
  squared_gradient (parameters m d) (fun th => network m d th x) theta = 2 * r * Rabs f.
Proof.
  intros O P H.
  assert (F : 0 <= f).
  { rewrite output_step. apply sum_nonneg. intros j J. apply in_below in J. rewrite (H j J).
    pose proof (relu_nonneg (z j)). unfold Rdiv. pose proof (Rinv_0_lt_compat r P).
    apply Rmult_le_pos; auto. apply Rmult_le_pos; lra. }
  rewrite (gradient_gap O 1); [|rewrite Rabs_pos_eq; lra|lra].
  rewrite (sum_zero _ (fun j => (a j * step (z j) * r - 1 * relu (z j)) ^ 2)); [ring|].
  intros j J. apply in_below in J. rewrite (H j J).
  replace (relu (z j) / r * r - 1 * relu (z j)) with 0 by (field; lra). ring.
Qed.
End One.

(* --- over a training set: x' = (x, 1) --------------------------------------------------------------------------------------------- *)

Definition samples := list (point * R).

(* What the first layer sees. *)
Definition primed (d : nat) (data : samples) : samples := map (fun s => (with_one d (fst s), snd s)) data.

(* A network with a bias: twice differentiable in each parameter at each sample, f(x_i) = y_i; its trace. *)
Definition fits (m d : nat) (theta : parameter -> R) (data : samples) : Prop :=
  smooth_on (parameters m (S d)) (network m (S d)) (primed d data) theta /\ interpolates (network m (S d)) (primed d data) theta.
Definition sharpness (m d : nat) (theta : parameter -> R) (data : samples) : R :=
  trace (parameters m (S d)) (mse (network m (S d)) (primed d data)) theta.
Definition flattest (m d : nat) (theta : parameter -> R) (data : samples) : Prop :=
  fits m d theta data /\ forall m' theta', fits m' d theta' data -> sharpness m d theta data <= sharpness m' d theta' data.

Lemma smooth_with_one : forall m d theta x,
  twice_differentiable (parameters m (S d)) (fun th => network m (S d) th (with_one d x)) theta
  <-> off_kinks m (S d) theta (with_one d x).
Proof.
  intros. split; [|apply smooth_off_kinks]. apply off_kinks_smooth. exists d. split; [lia|].
  unfold with_one. rewrite Nat.eqb_refl. lra.
Qed.

Lemma sharpness_of : forall m d theta data, fits m d theta data ->
  sharpness m d theta data = 2 / INR (length data) *
    Sum data (fun s => squared_gradient (parameters m (S d)) (fun th => network m (S d) th (with_one d (fst s))) theta).
Proof.
  intros m d theta data [S I]. unfold sharpness. rewrite trace_at_interpolation by auto.
  unfold primed at 1. rewrite map_length. f_equal. unfold primed. rewrite sum_map. auto.
Qed.

(* Tr Hess L >= (4/n) sum_i ||x'_i|| |y_i|. *)
Theorem trace_lower_bound : forall m d theta data, fits m d theta data ->
  4 / INR (length data) * Sum data (fun s => norm (S d) (with_one d (fst s)) * Rabs (snd s)) <= sharpness m d theta data.
Proof.
  intros m d theta data F. rewrite sharpness_of by auto. destruct F as [T I].
  destruct data as [|s0 rest]; [simpl; lra|]. set (data := s0 :: rest) in *.
  assert (0 < / INR (length data)) by (apply Rinv_0_lt_compat; apply lt_0_INR; simpl; lia).
  replace (4 / INR (length data) * Sum data (fun s => norm (S d) (with_one d (fst s)) * Rabs (snd s)))
    with (2 / INR (length data) * Sum data (fun s => 2 * norm (S d) (with_one d (fst s)) * Rabs (snd s))).
  2: { rewrite (sum_ext _ (fun s => 2 * _ * _) (fun s => 2 * (norm (S d) (with_one d (fst s)) * Rabs (snd s)))) by (intros; ring).
       rewrite sum_scal. unfold Rdiv. ring. }
  apply Rmult_le_compat_l; [unfold Rdiv; lra|]. apply sum_le. intros s Is.
  assert (In (with_one d (fst s), snd s) (primed d data)).
  { unfold primed. apply in_map_iff. exists s. auto. }
  pose proof (I _ H0) as E. cbn [fst snd] in E. rewrite <- E. apply gradient_lower_bound. apply smooth_with_one. apply (T _ H0).
Qed.

(* Reaching the bound of equation 3 at each sample makes a network flattest among those of every width. *)
Theorem attaining_is_flattest : forall m d theta data, fits m d theta data ->
  (forall s, In s data -> squared_gradient (parameters m (S d)) (fun th => network m (S d) th (with_one d (fst s))) theta
     = 2 * norm (S d) (with_one d (fst s)) * Rabs (snd s)) -> flattest m d theta data.
Proof.
  intros m d theta data F A. split; auto. intros m' theta' F'.
  apply Rle_trans with (2 := trace_lower_bound m' d theta' data F').
  rewrite sharpness_of by auto. rewrite (sum_ext _ _ _ A). apply Req_le.
  rewrite (sum_ext _ (fun s => 2 * _ * _) (fun s => 2 * (norm (S d) (with_one d (fst s)) * Rabs (snd s)))) by (intros; ring).
  rewrite sum_scal. unfold Rdiv. ring.
Qed.

(* A network in which exactly one neuron is active at x, with height h > 0 and output weight a. *)
Section Alone.
Variables (m d : nat) (theta : parameter -> R) (x : point) (i : nat).
Hypothesis I : (i < m)%nat.
Hypothesis active : 0 < preactivation d theta i x.
Hypothesis silent : forall j, (j < m)%nat -> j <> i ->
  preactivation d theta j x <= 0 /\ (theta (Output j) <> 0 -> preactivation d theta j x < 0).

Lemma alone_off_kinks : off_kinks m d theta x.
Proof. intros j J O. destruct (Nat.eq_dec j i) as [->|N]; [lra|]. destruct (silent j J N) as [_ H]. specialize (H O). lra. Qed.

Lemma alone_output : network m d theta x = theta (Output i) * preactivation d theta i x.
Proof.
  unfold network. rewrite (sum_single _ _ i); [rewrite relu_pos; lra|apply nodup_below|apply in_below; auto|].
  intros j J N. apply in_below in J. rewrite relu_neg; [ring|]. apply silent; auto.
Qed.

Lemma alone_gradient : squared_gradient (parameters m d) (fun th => network m d th x) theta
  = theta (Output i) ^ 2 * norm d x ^ 2 + preactivation d theta i x ^ 2.
Proof.
  rewrite gradient_norm by apply alone_off_kinks. rewrite norm_square. f_equal.
  - f_equal. rewrite (sum_single _ _ i); [|apply nodup_below|apply in_below; auto|].
    + unfold step. destruct (Rlt_dec 0 (preactivation d theta i x)); [ring|contradiction].
    + intros j J N. apply in_below in J. destruct (silent j J N) as [H _]. unfold step.
      destruct (Rlt_dec 0 (preactivation d theta j x)); [lra|ring].
  - rewrite (sum_single _ _ i); [rewrite relu_pos; lra|apply nodup_below|apply in_below; auto|].
    intros j J N. apply in_below in J. rewrite relu_neg; [ring|]. apply silent; auto.
Qed.

(* Balanced, |a| ||x|| = h, it reaches the bound. *)
Lemma alone_attains : Rabs (theta (Output i)) * norm d x = preactivation d theta i x ->
  squared_gradient (parameters m d) (fun th => network m d th x) theta = 2 * norm d x * Rabs (network m d theta x).
Proof.
  intros B. rewrite alone_gradient, alone_output, Rabs_mult, (Rabs_pos_eq (preactivation d theta i x)) by lra.
  rewrite <- B. rewrite <- (pow2_abs (theta (Output i))). ring.
Qed.
End Alone.

(* --- theorem 4.1 at depth 2 ------------------------------------------------------------------------------------------------------ *)

(* Sample i of a list. *)
Definition sample (data : samples) (i : nat) : point * R := nth i data (fun _ => 0, 0).

(* Its construction: W1_i = u_i w_i / eps, b1_i = u_i (-w_i . x_i + eps) / eps, W2_i = sign(y_i) (|y_i| / r_i)^(1/2) with
   u_i = (r_i |y_i|)^(1/2), r_i = ||x'_i||. *)
Definition memorizing (d : nat) (data : samples) (w : nat -> point) (eps : R) (p : parameter) : R :=
  match p with
  | Weight i k =>
      let (x, y) := sample data i in
      let u := sqrt (norm (S d) (with_one d x) * Rabs y) in
      if (k =? d)%nat then u * (- dot d (w i) x + eps) / eps else u * w i k / eps
  | Output i => let (x, y) := sample data i in sgn y * sqrt (Rabs y / norm (S d) (with_one d x))
  end.

(* Each sample activates one neuron of its own. *)
Definition memorizes (m d : nat) (theta : parameter -> R) (data : samples) : Prop :=
  exists own : nat -> nat, (forall i i', (i < length data)%nat -> (i' < length data)%nat -> own i = own i' -> i = i')
    /\ forall i, (i < length data)%nat -> (own i < m)%nat
       /\ forall j, (j < m)%nat -> (0 < preactivation (S d) theta j (with_one d (fst (sample data i))) <-> j = own i).

Lemma preactivation_memorizing : forall d data w eps i x, eps <> 0 ->
  preactivation (S d) (memorizing d data w eps) i (with_one d x)
  = sqrt (norm (S d) (with_one d (fst (sample data i))) * Rabs (snd (sample data i)))
    * (dot d (w i) x - dot d (w i) (fst (sample data i)) + eps) / eps.
Proof.
  intros. unfold preactivation. rewrite dot_with_one. unfold memorizing. destruct (sample data i) as [xi y]. simpl.
  rewrite Nat.eqb_refl. set (u := sqrt _).
  replace (dot d (fun k => if (k =? d)%nat then u * (- dot d (w i) xi + eps) / eps else u * w i k / eps) x)
    with (u / eps * dot d (w i) x).
  - field. auto.
  - unfold dot. rewrite <- sum_scal. apply sum_ext. intros k K. apply in_below in K.
    destruct (Nat.eqb_spec k d); [lia|]. field. auto.
Qed.

Section Memorizing.
Variables (d : nat) (data : samples) (w : nat -> point) (eps : R).
Hypothesis eps_pos : 0 < eps.
Hypothesis labels : forall s, In s data -> snd s <> 0.
(* Sample i lies beyond every other one in direction w_i, by more than eps. *)
Hypothesis extreme : forall i j, (i < length data)%nat -> (j < length data)%nat -> i <> j ->
  dot d (w i) (fst (sample data j)) + eps < dot d (w i) (fst (sample data i)).
Let n := length data.
Let theta := memorizing d data w eps.
Let x' i := with_one d (fst (sample data i)).
Let y i := snd (sample data i).
Let r i := norm (S d) (x' i).

Lemma r_pos : forall i, 0 < r i.
Proof. intros. apply norm_with_one_pos. Qed.

Lemma y_pos : forall i, (i < n)%nat -> 0 < Rabs (y i).
Proof. intros. apply Rabs_pos_lt. apply labels. apply nth_In. auto. Qed.

Lemma own_active : forall i, (i < n)%nat -> preactivation (S d) theta i (x' i) = sqrt (r i * Rabs (y i)).
Proof.
  intros. unfold theta, x'. rewrite preactivation_memorizing by lra. fold (x' i). fold (r i). fold (y i). field. lra.
Qed.

Lemma own_positive : forall i, (i < n)%nat -> 0 < preactivation (S d) theta i (x' i).
Proof.
  intros. rewrite own_active by auto. apply sqrt_lt_R0. apply Rmult_lt_0_compat; [apply r_pos|apply y_pos; auto].
Qed.

Lemma others_silent : forall i j, (i < n)%nat -> (j < n)%nat -> j <> i -> preactivation (S d) theta j (x' i) < 0.
Proof.
  intros. unfold theta, x'. rewrite preactivation_memorizing by lra.
  fold (x' j). fold (r j). fold (y j).
  assert (U : 0 < sqrt (r j * Rabs (y j))) by (apply sqrt_lt_R0, Rmult_lt_0_compat; [apply r_pos|apply y_pos; auto]).
  pose proof (extreme j i ltac:(auto) ltac:(auto) ltac:(auto)).
  unfold Rdiv. pose proof (Rinv_0_lt_compat _ eps_pos). rewrite Rmult_assoc.
  set (t := dot d (w j) (fst (sample data i)) - dot d (w j) (fst (sample data j)) + eps) in *.
  assert (t < 0) by (unfold t; lra).
  assert (0 < - t * / eps) by (apply Rmult_lt_0_compat; lra).
  assert (0 < sqrt (r j * Rabs (y j)) * (- t * / eps)) by (apply Rmult_lt_0_compat; auto). lra.
Qed.

Lemma own_weight : forall i, theta (Output i) = sgn (y i) * sqrt (Rabs (y i) / r i).
Proof. intros. unfold theta, memorizing, y, r, x'. destruct (sample data i); auto. Qed.

Lemma quiet : forall i j, (i < n)%nat -> (j < n)%nat -> j <> i ->
  preactivation (S d) theta j (x' i) <= 0 /\ (theta (Output j) <> 0 -> preactivation (S d) theta j (x' i) < 0).
Proof. intros i j Li Lj N. pose proof (others_silent i j Li Lj N). split; [lra|auto]. Qed.

Lemma sides : forall i, (i < n)%nat ->
  theta (Output i) = sgn (y i) * (preactivation (S d) theta i (x' i) / r i).
Proof.
  intros i H. rewrite own_weight, own_active by auto. f_equal. pose proof (r_pos i). pose proof (y_pos i H).
  apply Rmult_eq_reg_r with (r i); [|lra]. field_simplify; [|lra].
  rewrite <- (sqrt_square (r i)) at 2 by lra. rewrite <- sqrt_mult_alt.
  - f_equal. field. lra.
  - apply Rlt_le. apply Rdiv_lt_0_compat; lra.
Qed.

Lemma memorizing_output : forall i, (i < n)%nat -> network n (S d) theta (x' i) = y i.
Proof.
  intros i H. rewrite (alone_output _ _ _ _ i) by (auto using own_positive, quiet).
  rewrite own_weight, own_active by auto. pose proof (r_pos i). pose proof (y_pos i H).
  rewrite Rmult_assoc, <- sqrt_mult_alt by (apply Rlt_le, Rdiv_lt_0_compat; lra).
  replace (Rabs (y i) / r i * (r i * Rabs (y i))) with (Rabs (y i) * Rabs (y i)) by (field; lra).
  rewrite sqrt_square by lra. rewrite <- sgn_abs. rewrite <- Rmult_assoc, sgn_square; [ring|].
  intros E. rewrite E, Rabs_R0 in H1. lra.
Qed.

Lemma memorizing_balanced : forall i, (i < n)%nat -> Rabs (theta (Output i)) * r i = preactivation (S d) theta i (x' i).
Proof.
  intros i H. rewrite sides by auto. pose proof (r_pos i). pose proof (own_positive i H).
  rewrite Rabs_mult, (Rabs_pos_eq (_ / _)).
  - assert (S : Rabs (sgn (y i)) = 1).
    { unfold sgn. pose proof (y_pos i H). destruct (Rlt_dec 0 (y i)); [apply Rabs_R1|].
      destruct (Rlt_dec (y i) 0); [rewrite Rabs_left; lra|].
      replace (y i) with 0 in H2 by lra. rewrite Rabs_R0 in H2. lra. }
    rewrite S. field. lra.
  - apply Rlt_le. apply Rdiv_lt_0_compat; auto.
Qed.

Lemma sample_in : forall s, In s data -> exists i, (i < n)%nat /\ s = sample data i.
Proof. intros s I. apply (In_nth _ _ (fun _ => 0, 0)) in I. destruct I as (i & L & E). exists i. auto. Qed.

(* wen2023/theorem-4.1 at depth 2, labels not 0: the construction interpolates, memorizes, and is flattest among all widths. *)
Theorem memorizing_is_flattest : flattest n d theta data /\ memorizes n d theta data
  /\ sharpness n d theta data = 4 / INR n * Sum data (fun s => norm (S d) (with_one d (fst s)) * Rabs (snd s)).
Proof.
  assert (F : fits n d theta data).
  { split.
    - intros s' I. unfold primed in I. apply in_map_iff in I. destruct I as (s & <- & I). simpl fst.
      apply smooth_with_one. destruct (sample_in s I) as (i & L & ->).
      apply alone_off_kinks with i; auto using own_positive, quiet. apply own_positive; auto.
      intros. apply quiet; auto.
    - intros s' I. unfold primed in I. apply in_map_iff in I. destruct I as (s & <- & I). simpl.
      destruct (sample_in s I) as (i & L & ->). apply memorizing_output; auto. }
  assert (G : forall s, In s data -> squared_gradient (parameters n (S d)) (fun th => network n (S d) th (with_one d (fst s))) theta
     = 2 * norm (S d) (with_one d (fst s)) * Rabs (snd s)).
  { intros s I. destruct (sample_in s I) as (i & L & ->). fold (x' i). fold (y i).
    rewrite (alone_attains _ _ _ _ i); auto using own_positive, quiet.
    - rewrite memorizing_output by auto. auto.
    - apply (memorizing_balanced i L). }
  split; [apply attaining_is_flattest; auto|]. split.
  - exists (fun i => i). split; auto. intros i L. split; auto. intros j J. fold (x' i). split.
    + intros P. destruct (Nat.eq_dec j i) as [|N]; auto. pose proof (others_silent i j L J N). lra.
    + intros ->. apply own_positive; auto.
  - rewrite sharpness_of by auto. rewrite (sum_ext _ _ _ G). fold n.
    rewrite (sum_ext _ (fun s => 2 * _ * _) (fun s => 2 * (norm (S d) (with_one d (fst s)) * Rabs (snd s)))) by (intros; ring).
    rewrite sum_scal. unfold Rdiv. ring.
Qed.

(* wen2023/equation-4 as corrected, its construction: both sides are sign(y_i) (|y_i| / ||x'_i||)^(1/2) e_i. *)
Theorem memorizing_sides : forall i j, (i < n)%nat -> (j < n)%nat ->
  let left := theta (Output j) * step (preactivation (S d) theta j (x' i)) in
  let right := sgn (y i) * (relu (preactivation (S d) theta j (x' i)) / r i) in
  left = right /\ left = (if Nat.eq_dec j i then sgn (y i) * sqrt (Rabs (y i) / r i) else 0).
Proof.
  intros i j Li Lj left right. destruct (Nat.eq_dec j i) as [->|N].
  - pose proof (own_positive i Li). unfold left, right, step. destruct (Rlt_dec 0 (preactivation (S d) theta i (x' i))); [|lra].
    rewrite relu_pos, Rmult_1_r by lra. split; [apply sides; auto|apply own_weight].
  - pose proof (others_silent i j Li Lj N). unfold left, right, step.
    destruct (Rlt_dec 0 (preactivation (S d) theta j (x' i))); [lra|]. rewrite relu_neg by lra. unfold Rdiv. split; ring.
Qed.
End Memorizing.

(* The counterexamples of equation 4: one sample x = 3/4, ||x'|| = 5/4, with y = -5/4 and y = 5/9. *)
Definition one_sample (y : R) : samples := [(fun _ => 3 / 4, y)].

Lemma one_sample_norm : norm 2 (with_one 1 (fun _ => 3 / 4)) = 5 / 4.
Proof.
  unfold norm. rewrite squared_norm_with_one. unfold squared_norm. simpl.
  replace (3 / 4 * (3 / 4 * 1) + 0 + 1) with (5 / 4 * (5 / 4)) by field. apply sqrt_square. lra.
Qed.

Theorem printed_sides_fail :
  let net y := memorizing 1 (one_sample y) (fun _ _ => 1) 1 in
  let x := with_one 1 (fun _ => 3 / 4) in
  let left y := net y (Output 0) * step (preactivation 2 (net y) 0 x) in
  let right y := relu (preactivation 2 (net y) 0 x) / norm 2 x in
  flattest 1 1 (net (- 5 / 4)) (one_sample (- 5 / 4)) /\ left (- 5 / 4) = - 1 /\ right (- 5 / 4) = 1
  /\ flattest 1 1 (net (5 / 9)) (one_sample (5 / 9)) /\ left (5 / 9) = 2 / 3 /\ right (5 / 9) = 2 / 3 /\ Rabs (5 / 9) / norm 2 x = 4 / 9.
Proof.
  intros net x left right.
  assert (L : forall y, y <> 0 -> forall s, In s (one_sample y) -> snd s <> 0).
  { intros y N s [<-|[]]. auto. }
  assert (E : forall y i j, (i < length (one_sample y))%nat -> (j < length (one_sample y))%nat -> i <> j ->
     dot 1 (fun _ => 1) (fst (sample (one_sample y) j)) + 1 < dot 1 (fun _ => 1) (fst (sample (one_sample y) i))).
  { simpl. intros. lia. }
  assert (S1 : forall y, y <> 0 -> left y = sgn y * right y /\ left y = sgn y * sqrt (Rabs y / (5 / 4))).
  { intros y N. rewrite <- one_sample_norm.
    exact (memorizing_sides 1 (one_sample y) (fun _ _ => 1) 1 ltac:(lra) (L y N) (E y) 0%nat 0%nat ltac:(simpl; lia) ltac:(simpl; lia)). }
  assert (F : forall y, y <> 0 -> flattest 1 1 (net y) (one_sample y)).
  { intros y N. apply (memorizing_is_flattest 1 (one_sample y) (fun _ _ => 1) 1 ltac:(lra) (L y N) (E y)). }
  destruct (S1 (- 5 / 4)) as [A B]; [lra|]. destruct (S1 (5 / 9)) as [C D]; [lra|].
  assert (G1 : sgn (- 5 / 4) = - 1) by (unfold sgn; destruct (Rlt_dec 0 (- 5 / 4)), (Rlt_dec (- 5 / 4) 0); lra).
  assert (G2 : sgn (5 / 9) = 1) by (unfold sgn; destruct (Rlt_dec 0 (5 / 9)); lra).
  rewrite G1 in *. rewrite G2 in *.
  assert (Q1 : sqrt (Rabs (- 5 / 4) / (5 / 4)) = 1).
  { replace (Rabs (- 5 / 4) / (5 / 4)) with 1; [apply sqrt_1|]. rewrite Rabs_left by lra. field. }
  assert (Q2 : sqrt (Rabs (5 / 9) / (5 / 4)) = 2 / 3).
  { replace (Rabs (5 / 9) / (5 / 4)) with (2 / 3 * (2 / 3)); [apply sqrt_square; lra|]. rewrite Rabs_pos_eq by lra. field. }
  rewrite Q1 in B. rewrite Q2 in D.
  split; [apply F; lra|]. split; [lra|]. split; [lra|]. split; [apply F; lra|]. split; [lra|]. split; [lra|].
  unfold x. rewrite one_sample_norm, Rabs_pos_eq by lra. field.
Qed.

(* wen2023/theorem-4.1 as printed fails for a label 0: at x = 0, y = 0 the network of width 0 has trace 0, and a memorizing one
   a trace above 0. *)
Theorem zero_label_refutes : let data : samples := [(fun _ => 0, 0)] in
  (forall theta, fits 0 1 theta data /\ sharpness 0 1 theta data = 0)
  /\ forall m theta, fits m 1 theta data -> memorizes m 1 theta data -> 0 < sharpness m 1 theta data.
Proof.
  intros data.
  assert (F0 : forall theta, fits 0 1 theta data).
  { intros. split.
    - intros s [<-|[]]. apply smooth_with_one. intros j J. lia.
    - intros s [<-|[]]. reflexivity. }
  split.
  - intros theta. split; [auto|]. rewrite (sharpness_of 0 1 theta data) by auto. simpl. unfold squared_gradient, parameters. simpl. lra.
  - intros m theta F (own & _ & M). rewrite sharpness_of by auto. destruct F as [T _].
    destruct (M 0%nat) as [O A]; [simpl; lia|].
    assert (P : 0 < preactivation 2 theta (own 0%nat) (with_one 1 (fun _ => 0))) by (apply A; auto).
    assert (K : off_kinks m 2 theta (with_one 1 (fun _ => 0))).
    { apply smooth_with_one. apply (T (with_one 1 (fun _ => 0), 0)). left. auto. }
    unfold data. cbn [length INR Sum fst]. rewrite (gradient_norm m 2) by exact K.
    assert (0 <= Sum (below m) (fun j => (theta (Output j) * step (preactivation 2 theta j (with_one 1 (fun _ => 0)))) ^ 2)
       * squared_norm 2 (with_one 1 (fun _ => 0))).
    { apply Rmult_le_pos; [apply sum_nonneg; intros; apply pow2_ge_0|apply squared_norm_nonneg]. }
    assert (relu (preactivation 2 theta (own 0%nat) (with_one 1 (fun _ => 0))) ^ 2
       <= Sum (below m) (fun j => relu (preactivation 2 theta j (with_one 1 (fun _ => 0))) ^ 2)).
    { apply (sum_term_le (below m) (fun j => relu (preactivation 2 theta j (with_one 1 (fun _ => 0))) ^ 2)).
      - intros; apply pow2_ge_0.
      - apply in_below; auto. }
    rewrite relu_pos in H0 by lra.
    assert (0 < preactivation 2 theta (own 0%nat) (with_one 1 (fun _ => 0)) ^ 2) by (apply pow_lt; auto). lra.
Qed.

(* Two equal samples: what one activates the other does, so no network memorizes. *)
Theorem repeated_samples_refute : forall m d theta (x : point) (y : R), ~ memorizes m d theta [(x, y); (x, y)].
Proof.
  intros m d theta x y (own & Inj & M).
  assert (0%nat = 1%nat); [|lia]. apply Inj; simpl; try lia.
  destruct (M 0%nat) as [L0 A0]; [simpl; lia|]. destruct (M 1%nat) as [L1 A1]; [simpl; lia|].
  apply (A1 (own 0%nat) L0). apply A0; auto.
Qed.
