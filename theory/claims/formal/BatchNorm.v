(* Owns simplified BatchNorm, f(x) = sum_j a_j gamma_j relu(w_j . x') / s_j with s_j^2 the mean over the training inputs of
   relu(w_j . x')^2: wen2023/lemma-A.3, and of lemma A.1 the least norm. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Inequalities Parity.
Import ListNotations.
Open Scope R_scope.

Inductive bn_parameter := W (j k : nat) | Gain (j : nat) | Out (j : nat).

#[export] Instance same_bn : Indexed bn_parameter.
Proof. unfold Indexed. decide equality; apply Nat.eq_dec. Defined.

Definition bn_parameters (m d : nat) : list bn_parameter :=
  flat_map (fun j => map (W j) (below d)) (below m) ++ (map Gain (below m) ++ map Out (below m)).

Lemma sum_bn_parameters : forall m d g, Sum (bn_parameters m d) g
  = Sum (below m) (fun j => Sum (below d) (fun k => g (W j k))) + (Sum (below m) (fun j => g (Gain j)) + Sum (below m) (fun j => g (Out j))).
Proof.
  intros. unfold bn_parameters. rewrite !sum_app, sum_flat_map, !sum_map. f_equal.
  apply sum_ext. intros. rewrite sum_map. auto.
Qed.

Lemma in_bn_parameters : forall m d p, In p (bn_parameters m d) <->
  match p with W j k => (j < m)%nat /\ (k < d)%nat | Gain j => (j < m)%nat | Out j => (j < m)%nat end.
Proof.
  intros. unfold bn_parameters. rewrite !in_app_iff, in_flat_map, !in_map_iff. split.
  - intros [(j & J & I)|[(j & E & J)|(j & E & J)]].
    + apply in_map_iff in I. destruct I as (k & <- & K). rewrite in_below in *. auto.
    + subst. rewrite in_below in *. auto.
    + subst. rewrite in_below in *. auto.
  - destruct p as [j k|j|j].
    + intros [J K]. left. exists j. split; [apply in_below; auto|]. apply in_map. apply in_below; auto.
    + intros J. right. left. exists j. split; auto. apply in_below; auto.
    + intros J. right. right. exists j. split; auto. apply in_below; auto.
Qed.

(* Pre-activation, mean square over the training inputs xs, normalized activation, output. *)
Definition pre (d : nat) (theta : bn_parameter -> R) (j : nat) (x : point) : R := dot d (fun k => theta (W j k)) x.
Definition mean_square_of (d : nat) (xs : list point) (theta : bn_parameter -> R) (j : nat) : R :=
  / INR (length xs) * Sum xs (fun x => relu (pre d theta j x) ^ 2).
Definition size (d : nat) (xs : list point) (theta : bn_parameter -> R) (j : nat) : R := sqrt (mean_square_of d xs theta j).
Definition normalized (d : nat) (xs : list point) (theta : bn_parameter -> R) (j : nat) (x : point) : R :=
  relu (pre d theta j x) * / size d xs theta j.
Definition batch_norm (m d : nat) (xs : list point) (theta : bn_parameter -> R) (x : point) : R :=
  Sum (below m) (fun j => theta (Out j) * theta (Gain j) * normalized d xs theta j x).

Section Norms.
Variables (m d : nat) (xs : list point).
Let f := batch_norm m d xs.

Lemma mean_square_nonneg : forall theta j, 0 <= mean_square_of d xs theta j.
Proof.
  intros. unfold mean_square_of. destruct xs as [|x l]; [simpl; lra|].
  apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, lt_0_INR; simpl; lia|]. apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

(* Every neuron is active at some training input, so that f is defined. *)
Definition alive (theta : bn_parameter -> R) : Prop := forall j, (j < m)%nat -> 0 < size d xs theta j.

(* The mean over the training inputs of the squared normalized activation is 1. *)
Lemma normalized_square : forall theta j, xs <> [] -> 0 < size d xs theta j ->
  Sum xs (fun x => normalized d xs theta j x ^ 2) = INR (length xs).
Proof.
  intros theta j NE P. unfold normalized.
  rewrite (sum_ext _ _ (fun x => / size d xs theta j ^ 2 * relu (pre d theta j x) ^ 2)).
  - rewrite sum_scal. assert (E : size d xs theta j ^ 2 = mean_square_of d xs theta j).
    { unfold size. apply pow2_sqrt. apply mean_square_nonneg. }
    assert (Q : 0 < mean_square_of d xs theta j) by (rewrite <- E; apply pow_lt; auto).
    rewrite E. unfold mean_square_of in *. set (q := Sum xs (fun x => relu (pre d theta j x) ^ 2)) in *.
    assert (0 < INR (length xs)) by (apply lt_0_INR; destruct xs; [congruence|simpl; lia]).
    assert (0 < q) by (destruct (Rlt_dec 0 q); auto; assert (0 < / INR (length xs)) by (apply Rinv_0_lt_compat; auto); nra).
    field. split; lra.
  - intros x _. field. lra.
Qed.

(* Changing an output weight or a gain changes nothing else. *)
Lemma normalized_gain : forall theta j t i x, normalized d xs (update theta (Gain j) t) i x = normalized d xs theta i x.
Proof. reflexivity. Qed.

Lemma normalized_out : forall theta j t i x, normalized d xs (update theta (Out j) t) i x = normalized d xs theta i x.
Proof. reflexivity. Qed.

Lemma along_out : forall theta j x t, (j < m)%nat -> along (fun th => f th x) theta (Out j) t
  = theta (Gain j) * normalized d xs theta j x * t + (f theta x - theta (Out j) * theta (Gain j) * normalized d xs theta j x).
Proof.
  intros theta j x t J. unfold along, f, batch_norm.
  transitivity (Sum (below m) (fun i => theta (Out i) * theta (Gain i) * normalized d xs theta i x)
    + (t - theta (Out j)) * theta (Gain j) * normalized d xs theta j x); [|ring].
  rewrite <- (sum_changed m (fun i => theta (Out i) * theta (Gain i) * normalized d xs theta i x) j) by auto. apply sum_ext. intros i _. rewrite normalized_out. rewrite (update_other _ _ _ (Gain i)) by discriminate.
  destruct (Nat.eq_dec i j) as [->|N]; [rewrite update_at; ring|]. rewrite update_other by congruence. ring.
Qed.

Lemma along_gain : forall theta j x t, (j < m)%nat -> along (fun th => f th x) theta (Gain j) t
  = theta (Out j) * normalized d xs theta j x * t + (f theta x - theta (Out j) * theta (Gain j) * normalized d xs theta j x).
Proof.
  intros theta j x t J. unfold along, f, batch_norm.
  transitivity (Sum (below m) (fun i => theta (Out i) * theta (Gain i) * normalized d xs theta i x)
    + theta (Out j) * (t - theta (Gain j)) * normalized d xs theta j x); [|ring].
  rewrite <- (sum_changed m (fun i => theta (Out i) * theta (Gain i) * normalized d xs theta i x) j) by auto. apply sum_ext. intros i _. rewrite normalized_gain. rewrite (update_other _ _ _ (Out i)) by discriminate.
  destruct (Nat.eq_dec i j) as [->|N]; [rewrite update_at; ring|]. rewrite update_other by congruence. ring.
Qed.

Lemma jet_out : forall theta j x, (j < m)%nat ->
  jet (along (fun th => f th x) theta (Out j)) (theta (Out j)) (theta (Gain j) * normalized d xs theta j x) 0.
Proof. intros. eapply jet_ext; [intros; symmetry; apply along_out; auto|]. apply jet_affine. Qed.

Lemma jet_gain : forall theta j x, (j < m)%nat ->
  jet (along (fun th => f th x) theta (Gain j)) (theta (Gain j)) (theta (Out j) * normalized d xs theta j x) 0.
Proof. intros. eapply jet_ext; [intros; symmetry; apply along_gain; auto|]. apply jet_affine. Qed.

(* ||W2||^2 + ||gamma||^2, and the first layer's part of the squared gradients. *)
Definition norms (theta : bn_parameter -> R) : R := Sum (below m) (fun j => theta (Out j) ^ 2 + theta (Gain j) ^ 2).
Definition first_layer (theta : bn_parameter -> R) : R :=
  Sum xs (fun x => Sum (below m) (fun j => Sum (below d) (fun k => partial (fun th => f th x) theta (W j k) ^ 2))).

Lemma sum_of_gradients : forall theta, xs <> [] -> alive theta ->
  Sum xs (fun x => squared_gradient (bn_parameters m d) (fun th => f th x) theta) = first_layer theta + INR (length xs) * norms theta.
Proof.
  intros theta NE Al. unfold squared_gradient, first_layer.
  rewrite (sum_ext xs _ (fun x => Sum (below m) (fun j => Sum (below d) (fun k => partial (fun th => f th x) theta (W j k) ^ 2))
     + Sum (below m) (fun j => (theta (Out j) ^ 2 + theta (Gain j) ^ 2) * normalized d xs theta j x ^ 2))).
  - rewrite sum_plus. f_equal. rewrite sum_swap. unfold norms. rewrite <- sum_scal. apply sum_ext. intros j J. apply in_below in J.
    rewrite sum_scal, normalized_square by auto. ring.
  - intros x _. rewrite sum_bn_parameters. f_equal. rewrite <- sum_plus. apply sum_ext. intros j J. apply in_below in J.
    unfold partial. rewrite (jet_derive _ _ _ _ (jet_out theta j x J)), (jet_derive _ _ _ _ (jet_gain theta j x J)). ring.
Qed.

Lemma first_layer_nonneg : forall theta, 0 <= first_layer theta.
Proof. intros. apply sum_nonneg. intros. apply sum_nonneg. intros. apply sum_nonneg. intros. apply pow2_ge_0. Qed.

(* --- a larger first layer is the same function ------------------------------------------------------------------------------------------ *)

Definition larger (t : R) (theta : bn_parameter -> R) (p : bn_parameter) : R :=
  match p with W j k => t * theta (W j k) | _ => theta p end.

Lemma pre_larger : forall t theta j x, pre d (larger t theta) j x = t * pre d theta j x.
Proof. intros. unfold pre, dot. rewrite <- sum_scal. apply sum_ext. intros. simpl. ring. Qed.

Lemma size_larger : forall t theta j, 0 < t -> size d xs (larger t theta) j = t * size d xs theta j.
Proof.
  intros t theta j T. unfold size. rewrite <- (sqrt_square t) at 2 by lra. rewrite <- sqrt_mult_alt by nra. f_equal.
  unfold mean_square_of.
  rewrite (sum_ext _ _ (fun x => t * t * relu (pre d theta j x) ^ 2)); [rewrite sum_scal; ring|].
  intros x _. rewrite pre_larger, relu_scal by lra. ring.
Qed.

Lemma normalized_larger : forall t theta j x, 0 < t -> normalized d xs (larger t theta) j x = normalized d xs theta j x.
Proof.
  intros t theta j x T. unfold normalized. rewrite pre_larger, size_larger, relu_scal by lra.
  destruct (Req_dec (size d xs theta j) 0) as [->|N]; [rewrite Rmult_0_r, Rinv_0; ring|]. field. split; lra.
Qed.

Lemma larger_same : forall t theta x, 0 < t -> f (larger t theta) x = f theta x.
Proof. intros. apply sum_ext. intros j _. rewrite normalized_larger by auto. auto. Qed.

Lemma along_larger : forall t theta j k x s, 0 < t ->
  along (fun th => f th x) (larger t theta) (W j k) s = along (fun th => f th x) theta (W j k) (/ t * s).
Proof.
  intros t theta j k x s T. unfold along. rewrite <- (larger_same t (update theta (W j k) (/ t * s))) by auto. f_equal.
  apply functional_extensionality. intros p. unfold larger, update.
  destruct p as [j' k'|j'|j']; repeat match goal with |- context [same ?a ?b] => destruct (same a b); try congruence end.
  field. lra.
Qed.

Lemma jet_larger : forall t theta j k x d1 d2, 0 < t -> jet (along (fun th => f th x) theta (W j k)) (theta (W j k)) d1 d2 ->
  jet (along (fun th => f th x) (larger t theta) (W j k)) (larger t theta (W j k)) (/ t * d1) (/ t * (/ t * d2)).
Proof.
  intros t theta j k x d1 d2 T J. eapply jet_ext; [intros; symmetry; apply along_larger; auto|].
  eapply jet_eq; [| |apply (jet_comp (along (fun th => f th x) theta (W j k)) (fun s => / t * s)) with (d1 := / t) (d2 := 0)].
  3: { replace (/ t * larger t theta (W j k)) with (theta (W j k)) by (simpl; field; lra). exact J. }
  3: { apply jet_ext with (fun s => / t * s + 0); [intros; ring|]. apply jet_affine. }
  all: ring.
Qed.
End Norms.

(* --- training --------------------------------------------------------------------------------------------------------------------------- *)

Definition inputs (d : nat) (data : samples) : list point := map fst (primed d data).
Definition bn_model (m d : nat) (data : samples) : (bn_parameter -> R) -> point -> R := batch_norm m (S d) (inputs d data).

(* Alive, twice differentiable in each parameter at each sample, f(x_i) = y_i; the trace. *)
Definition bn_fits (m d : nat) (theta : bn_parameter -> R) (data : samples) : Prop :=
  alive m (S d) (inputs d data) theta /\ smooth_on (bn_parameters m (S d)) (bn_model m d data) (primed d data) theta
  /\ interpolates (bn_model m d data) (primed d data) theta.
Definition bn_sharpness (m d : nat) (theta : bn_parameter -> R) (data : samples) : R :=
  trace (bn_parameters m (S d)) (mse (bn_model m d data) (primed d data)) theta.

Lemma length_inputs : forall d data, length (inputs d data) = length data.
Proof. intros. unfold inputs, primed. rewrite !map_length. auto. Qed.

Lemma bn_sharpness_of : forall m d theta data, data <> [] -> bn_fits m d theta data ->
  bn_sharpness m d theta data = 2 * norms m theta + 2 / INR (length data) * first_layer m (S d) (inputs d data) theta.
Proof.
  intros m d theta data NE (Al & Sm & I). unfold bn_sharpness. rewrite trace_at_interpolation by auto.
  assert (Pn : 0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]).
  replace (length (primed d data)) with (length data) by (unfold primed; rewrite map_length; auto).
  replace (Sum (primed d data) (fun s => squared_gradient (bn_parameters m (S d)) (fun th => bn_model m d data th (fst s)) theta))
    with (Sum (inputs d data) (fun x => squared_gradient (bn_parameters m (S d)) (fun th => batch_norm m (S d) (inputs d data) th x) theta))
    by (unfold inputs at 1; rewrite sum_map; auto).
  rewrite sum_of_gradients; auto.
  - rewrite length_inputs. field. lra.
  - unfold inputs, primed. destruct data; [congruence|discriminate].
Qed.

(* wen2023/lemma-A.3 as corrected, its bound: Tr Hess L >= 2 (||W2||^2 + ||gamma||^2). *)
Theorem bn_trace_bound : forall m d theta data, data <> [] -> bn_fits m d theta data -> 2 * norms m theta <= bn_sharpness m d theta data.
Proof.
  intros m d theta data NE F. rewrite bn_sharpness_of by auto.
  assert (0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]).
  assert (0 <= 2 / INR (length data) * first_layer m (S d) (inputs d data) theta); [|lra].
  apply Rmult_le_pos; [|apply first_layer_nonneg]. unfold Rdiv. pose proof (Rinv_0_lt_compat _ H). lra.
Qed.

(* A larger first layer: the same function everywhere, the same norms, and a trace as near to 2 (||W2||^2 + ||gamma||^2) as one likes. *)
Lemma bn_near_bound : forall m d theta data kappa, data <> [] -> bn_fits m d theta data -> 0 < kappa ->
  exists theta', bn_fits m d theta' data /\ (forall x, bn_model m d data theta' x = bn_model m d data theta x) /\ norms m theta' = norms m theta
    /\ bn_sharpness m d theta' data <= 2 * norms m theta + kappa.
Proof.
  intros m d theta data kappa NE F K. assert (F' := F). destruct F' as (Al & Sm & I).
  assert (Pn : 0 < INR (length data)) by (apply lt_0_INR; destruct data; [congruence|simpl; lia]).
  set (q := 2 / INR (length data) * first_layer m (S d) (inputs d data) theta).
  assert (Q : 0 <= q).
  { unfold q, Rdiv. pose proof (Rinv_0_lt_compat _ Pn). apply Rmult_le_pos; [lra|apply first_layer_nonneg]. }
  set (t := 1 + q / kappa). assert (T0 : 0 <= q / kappa).
  { unfold Rdiv. pose proof (Rinv_0_lt_compat _ K). apply Rmult_le_pos; lra. }
  assert (T : 1 <= t) by (unfold t; lra).
  assert (Fits : bn_fits m d (larger t theta) data).
  { split; [|split].
    - intros j J. rewrite size_larger by lra. specialize (Al j J). apply Rmult_lt_0_compat; lra.
    - intros s Is p P. destruct p as [j k|j|j].
      + destruct (Sm s Is (W j k) P) as (d1 & d2 & J). do 2 eexists. apply jet_larger; [lra|exact J].
      + apply in_bn_parameters in P. do 2 eexists. apply jet_gain. auto.
      + apply in_bn_parameters in P. do 2 eexists. apply jet_out. auto.
    - intros s Is. rewrite <- (I s Is). apply larger_same. lra. }
  exists (larger t theta). split; [exact Fits|]. split; [intros; apply larger_same; lra|]. split; [reflexivity|].
  rewrite bn_sharpness_of by auto. change (norms m (larger t theta)) with (norms m theta). apply Rplus_le_compat_l.
  assert (E : first_layer m (S d) (inputs d data) (larger t theta) = / t ^ 2 * first_layer m (S d) (inputs d data) theta).
  { unfold first_layer. rewrite <- sum_scal. apply sum_ext. intros x X. rewrite <- sum_scal. apply sum_ext. intros j J.
    rewrite <- sum_scal. apply sum_ext. intros k Kk. apply in_below in J. apply in_below in Kk.
    unfold inputs in X. apply in_map_iff in X. destruct X as (s & <- & Is).
    destruct (Sm s Is (W j k)) as (d1 & d2 & D); [apply in_bn_parameters; auto|].
    change (jet (along (fun th => batch_norm m (S d) (inputs d data) th (fst s)) theta (W j k)) (theta (W j k)) d1 d2) in D.
    unfold partial. rewrite (jet_derive _ _ _ _ D). rewrite (jet_derive _ _ _ _ (jet_larger m (S d) _ t theta j k _ d1 d2 ltac:(lra) D)).
    field. lra. }
  rewrite E. replace (2 / INR (length data) * (/ t ^ 2 * first_layer m (S d) (inputs d data) theta)) with (q / t ^ 2)
    by (unfold q; field; lra).
  assert (Qt : q = (t - 1) * kappa) by (unfold t; field; lra).
  apply Rmult_le_reg_r with (t ^ 2); [apply pow_lt; lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by (apply pow_nonzero; lra).
  rewrite Qt. nra.
Qed.

(* wen2023/lemma-A.3 as corrected, its infima: a number bounds the traces of the interpolating models from below exactly when it bounds
   twice their ||W2||^2 + ||gamma||^2. *)
Theorem bn_infima : forall m d data c, data <> [] ->
  (forall theta, bn_fits m d theta data -> c <= bn_sharpness m d theta data)
  <-> (forall theta, bn_fits m d theta data -> c <= 2 * norms m theta).
Proof.
  intros m d data c NE. split; intros H theta F.
  - destruct (Rle_dec c (2 * norms m theta)) as [|N]; auto. exfalso.
    destruct (bn_near_bound m d theta data ((c - 2 * norms m theta) / 2) NE F) as (theta' & F' & _ & _ & B); [lra|].
    specialize (H theta' F'). lra.
  - eapply Rle_trans; [apply H; exact F|apply bn_trace_bound; auto].
Qed.

(* --- where it is twice differentiable ------------------------------------------------------------------------------------------------------ *)

Lemma pre_weight : forall d theta j k t i x, (k < d)%nat ->
  pre d (update theta (W j k) t) i x = pre d theta i x + (if Nat.eq_dec i j then (t - theta (W j k)) * x k else 0).
Proof.
  intros d theta j k t i x K. unfold pre. destruct (Nat.eq_dec i j) as [->|N].
  - rewrite <- (dot_change d (fun i => theta (W j i))) by auto. f_equal. apply functional_extensionality. intro i.
    unfold update. destruct (same (W j i) (W j k)), (Nat.eq_dec i k); congruence.
  - rewrite Rplus_0_r. f_equal. apply functional_extensionality. intro k'. apply update_other. congruence.
Qed.

Lemma jet_moving : forall d theta j k i x, (k < d)%nat -> pre d theta i x <> 0 ->
  exists d1 d2, jet (fun t => relu (pre d (update theta (W j k) t) i x)) (theta (W j k)) d1 d2.
Proof.
  intros d theta j k i x K N. destruct (Nat.eq_dec i j) as [E|E].
  - do 2 eexists. apply jet_ext with (fun t => relu (x k * t + (pre d theta i x - theta (W j k) * x k))).
    { intros t. rewrite pre_weight by auto. destruct (Nat.eq_dec i j); [|congruence]. f_equal. ring. }
    apply (jet_comp relu); [|apply jet_affine].
    replace (x k * theta (W j k) + (pre d theta i x - theta (W j k) * x k)) with (pre d theta i x) by ring.
    apply jet_relu. auto.
  - do 2 eexists. apply jet_ext with (fun _ => relu (pre d theta i x)); [|apply jet_const].
    intros t. rewrite pre_weight by auto. destruct (Nat.eq_dec i j); [congruence|]. rewrite Rplus_0_r. auto.
Qed.

Lemma jet_list : forall {A} (l : list A) (g : A -> R -> R) x, (forall a, In a l -> exists d1 d2, jet (g a) x d1 d2) ->
  exists d1 d2, jet (fun t => Sum l (fun a => g a t)) x d1 d2.
Proof.
  induction l as [|a l IH]; intros g x H; simpl.
  - do 2 eexists. apply jet_const.
  - destruct (H a) as (d1 & d2 & J); [left; auto|]. destruct (IH g x) as (e1 & e2 & J'); [intros; apply H; right; auto|].
    do 2 eexists. apply (jet_plus _ _ _ _ _ _ _ J J').
Qed.

(* No neuron is at its kink at a training input. *)
Lemma bn_smooth : forall m d theta data, alive m (S d) (inputs d data) theta ->
  (forall j x, (j < m)%nat -> In x (inputs d data) -> pre (S d) theta j x <> 0) ->
  smooth_on (bn_parameters m (S d)) (bn_model m d data) (primed d data) theta.
Proof.
  intros m d theta data Al Off s Is p P. destruct p as [j k|j|j].
  - apply in_bn_parameters in P. destruct P as [J K]. unfold along, bn_model, batch_norm.
    assert (X : In (fst s) (inputs d data)) by (unfold inputs; apply in_map; auto).
    apply (jet_list (below m) (fun i t => update theta (W j k) t (Out i) * update theta (W j k) t (Gain i)
      * normalized (S d) (inputs d data) (update theta (W j k) t) i (fst s))).
    intros i I. apply in_below in I.
    assert (C : forall t, update theta (W j k) t (Out i) * update theta (W j k) t (Gain i)
       * normalized (S d) (inputs d data) (update theta (W j k) t) i (fst s)
       = theta (Out i) * theta (Gain i) * (relu (pre (S d) (update theta (W j k) t) i (fst s))
           * / sqrt (mean_square_of (S d) (inputs d data) (update theta (W j k) t) i))).
    { intros t. rewrite !update_other by discriminate. reflexivity. }
    destruct (jet_moving (S d) theta j k i (fst s) K (Off i _ I X)) as (a1 & a2 & Ja).
    assert (Jq : exists q1 q2, jet (fun t => mean_square_of (S d) (inputs d data) (update theta (W j k) t) i) (theta (W j k)) q1 q2).
    { unfold mean_square_of. destruct (jet_list (inputs d data) (fun x t => relu (pre (S d) (update theta (W j k) t) i x) ^ 2) (theta (W j k)))
        as (q1 & q2 & Q).
      - intros x Ix. destruct (jet_moving (S d) theta j k i x K (Off i x I Ix)) as (b1 & b2 & Jb).
        do 2 eexists. apply (jet_comp (fun v => v ^ 2) _ _ _ _ _ _ (jet_square _) Jb).
      - do 2 eexists. apply jet_scal. exact Q. }
    destruct Jq as (q1 & q2 & Jq).
    assert (Pos : 0 < mean_square_of (S d) (inputs d data) theta i).
    { specialize (Al i I). unfold size in Al. destruct (Rle_lt_or_eq_dec _ _ (mean_square_nonneg m (S d) (inputs d data) theta i)) as [|E]; auto.
      rewrite <- E, sqrt_0 in Al. lra. }
    destruct (jet_inv_sqrt (mean_square_of (S d) (inputs d data) (update theta (W j k) (theta (W j k))) i)) as (r1 & r2 & Jr).
    { rewrite update_self. auto. }
    do 2 eexists. eapply jet_ext; [intros; symmetry; apply C|]. apply jet_scal. apply jet_mult; [exact Ja|].
    apply (jet_comp (fun v => / sqrt v) (fun t => mean_square_of (S d) (inputs d data) (update theta (W j k) t) i) _ _ _ _ _ Jr Jq).
  - apply in_bn_parameters in P. do 2 eexists. apply jet_gain. auto.
  - apply in_bn_parameters in P. do 2 eexists. apply jet_out. auto.
Qed.

(* --- the least norm on a complete training set --------------------------------------------------------------------------------------------- *)

(* The point with head (p, q) and the tail of s. *)
Definition with_head (p q : R) (s : point) : point := fun k => match k with 0 => p | 1 => q | _ => s k end.
Definition four (s : point) : samples :=
  [(with_head 1 1 s, 1); (with_head 1 (- 1) s, - 1); (with_head (- 1) 1 s, - 1); (with_head (- 1) (- 1) s, 1)].
(* condition 1's training set: every head with every tail of a list. *)
Definition complete (tails : list point) : samples := flat_map four tails.

Lemma sum_complete : forall tails g, Sum (complete tails) g = Sum tails (fun s => Sum (four s) g).
Proof. intros. apply sum_flat_map. Qed.

Lemma length_complete : forall tails, INR (length (complete tails)) = 4 * INR (length tails).
Proof.
  induction tails as [|s l IH]; [simpl; lra|]. cbn [complete flat_map four app]. fold (complete l).
  cbn [length]. rewrite !S_INR, IH. ring.
Qed.

Lemma sum_inputs_complete : forall d tails g,
  Sum (inputs d (complete tails)) g = Sum tails (fun s => Sum (four s) (fun e => g (with_one d (fst e)))).
Proof. intros. unfold inputs, primed. rewrite !sum_map. apply sum_complete. Qed.

Lemma pre_heads : forall d theta j s, (2 <= d)%nat ->
  pre (S d) theta j (with_one d (with_head 1 1 s)) + pre (S d) theta j (with_one d (with_head (- 1) (- 1) s))
  = pre (S d) theta j (with_one d (with_head 1 (- 1) s)) + pre (S d) theta j (with_one d (with_head (- 1) 1 s)).
Proof.
  intros. unfold pre, dot. rewrite <- !sum_plus. apply sum_ext. intros k _. unfold with_one, with_head.
  destruct (Nat.eqb_spec k d); destruct k as [|[|k]]; try lia; ring.
Qed.

(* |sum_i y_i u_ij| <= n/2: lemma A.27 on the four heads of each tail, Cauchy-Schwarz over the tails. *)
Lemma correlation_bound : forall m d tails theta j, (2 <= d)%nat -> tails <> [] -> alive m (S d) (inputs d (complete tails)) theta -> (j < m)%nat ->
  Rabs (Sum tails (fun s => Sum (four s) (fun e => snd e * normalized (S d) (inputs d (complete tails)) theta j (with_one d (fst e)))))
  <= INR (length (complete tails)) / 2.
Proof.
  intros m d tails theta j D NE Al J. set (u := normalized (S d) (inputs d (complete tails)) theta j).
  set (n := INR (length (complete tails))).
  assert (Pn : 0 < n).
  { unfold n. rewrite length_complete. assert (0 < INR (length tails)) by (apply lt_0_INR; destruct tails; [congruence|simpl; lia]). lra. }
  assert (Sz := Al j J).
  assert (NEx : inputs d (complete tails) <> []).
  { destruct tails; [congruence|discriminate]. }
  assert (Sq : Sum tails (fun s => Sum (four s) (fun e => u (with_one d (fst e)) ^ 2)) = n).
  { rewrite <- (sum_inputs_complete d tails (fun x => u x ^ 2)). unfold u. rewrite normalized_square by auto. rewrite length_inputs. auto. }
  set (c := fun s => Sum (four s) (fun e => snd e * u (with_one d (fst e)))).
  assert (Each : forall s, c s ^ 2 <= Sum (four s) (fun e => u (with_one d (fst e)) ^ 2)).
  { intros s. unfold c, four, u, normalized. cbn [Sum fst snd].
    set (a := pre (S d) theta j (with_one d (with_head 1 1 s))). set (b := pre (S d) theta j (with_one d (with_head 1 (- 1) s))).
    set (b' := pre (S d) theta j (with_one d (with_head (- 1) 1 s))). set (a' := pre (S d) theta j (with_one d (with_head (- 1) (- 1) s))).
    destruct (four_neurons a b b' a') as [H _]; [unfold a, a', b, b'; apply pre_heads; auto|].
    set (v := / size (S d) (inputs d (complete tails)) theta j).
    replace ((1 * (relu a * v) + (- 1 * (relu b * v) + (- 1 * (relu b' * v) + (1 * (relu a' * v) + 0)))) ^ 2)
      with (v ^ 2 * (relu a + relu a' - relu b - relu b') ^ 2) by ring.
    replace ((relu a * v) ^ 2 + ((relu b * v) ^ 2 + ((relu b' * v) ^ 2 + ((relu a' * v) ^ 2 + 0))))
      with (v ^ 2 * (relu a ^ 2 + relu b ^ 2 + relu b' ^ 2 + relu a' ^ 2)) by ring.
    apply Rmult_le_compat_l; [apply pow2_ge_0|exact H]. }
  assert (T : Sum tails c ^ 2 <= (n / 2) ^ 2).
  { eapply Rle_trans; [apply sum_square_le|].
    apply Rle_trans with (INR (length tails) * n).
    - apply Rmult_le_compat_l; [apply pos_INR|]. rewrite <- Sq. apply sum_le. intros. apply Each.
    - unfold n. rewrite length_complete. right. field. }
  apply Rabs_le. fold c. split; destruct (Rle_dec 0 (Sum tails c)); nra.
Qed.

(* wen2023/lemma-A.1, its least norm: ||gamma * W2||_1 >= 2, so ||W2||^2 + ||gamma||^2 >= 4. *)
Theorem least_path : forall m d tails theta, (2 <= d)%nat -> tails <> [] -> bn_fits m d theta (complete tails) ->
  2 <= Sum (below m) (fun j => Rabs (theta (Out j) * theta (Gain j))) /\ 4 <= norms m theta.
Proof.
  intros m d tails theta D NE (Al & _ & I). set (n := INR (length (complete tails))).
  assert (Pn : 0 < n).
  { unfold n. rewrite length_complete. assert (0 < INR (length tails)) by (apply lt_0_INR; destruct tails; [congruence|simpl; lia]). lra. }
  set (u := fun j => normalized (S d) (inputs d (complete tails)) theta j).
  assert (E : n = Sum tails (fun s => Sum (four s) (fun e => snd e * bn_model m d (complete tails) theta (with_one d (fst e))))).
  { rewrite <- (sum_complete tails (fun e => snd e * bn_model m d (complete tails) theta (with_one d (fst e)))).
    unfold n. rewrite <- (Rmult_1_r (INR _)), <- sum_const. apply sum_ext. intros e Ie.
    assert (V : bn_model m d (complete tails) theta (with_one d (fst e)) = snd e).
    { apply (I (with_one d (fst e), snd e)). unfold primed. apply in_map_iff. exists e. auto. }
    rewrite V. unfold complete in Ie. apply in_flat_map in Ie. destruct Ie as (s & _ & F).
    destruct F as [<-|[<-|[<-|[<-|[]]]]]; simpl; ring. }
  assert (B : n <= Sum (below m) (fun j => Rabs (theta (Out j) * theta (Gain j)) * (n / 2))).
  { rewrite E at 1.
    replace (Sum tails (fun s => Sum (four s) (fun e => snd e * bn_model m d (complete tails) theta (with_one d (fst e)))))
      with (Sum (below m) (fun j => theta (Out j) * theta (Gain j) * Sum tails (fun s => Sum (four s) (fun e => snd e * u j (with_one d (fst e)))))).
    - apply sum_le. intros j J. apply in_below in J. eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_mult.
      apply Rmult_le_compat_l; [apply Rabs_pos|]. apply (correlation_bound m); auto.
    - symmetry. unfold bn_model, batch_norm.
      rewrite (sum_ext tails _ (fun s => Sum (below m) (fun j => theta (Out j) * theta (Gain j) * Sum (four s) (fun e => snd e * u j (with_one d (fst e)))))).
      + rewrite sum_swap. apply sum_ext. intros j _. rewrite sum_scal. auto.
      + intros s _. rewrite (sum_ext (four s) _ (fun e => Sum (below m) (fun j => theta (Out j) * theta (Gain j) * (snd e * u j (with_one d (fst e)))))).
        * rewrite sum_swap. apply sum_ext. intros j _. rewrite sum_scal. auto.
        * intros e _. rewrite <- sum_scal. apply sum_ext. intros j _. unfold u. ring. }
  rewrite sum_scal_r in B. set (p := Sum (below m) (fun j => Rabs (theta (Out j) * theta (Gain j)))) in *.
  assert (P2 : 2 <= p) by nra. split; auto.
  apply Rle_trans with (2 * p); [lra|]. unfold p, norms. rewrite <- sum_scal. apply sum_le. intros j _. rewrite Rabs_mult.
  rewrite <- (pow2_abs (theta (Out j))), <- (pow2_abs (theta (Gain j))).
  pose proof (pow2_ge_0 (Rabs (theta (Out j)) - Rabs (theta (Gain j)))). nra.
Qed.

(* No interpolating network of any width has a trace below 8 on a complete training set. *)
Theorem bn_least_trace : forall m d tails theta, (2 <= d)%nat -> tails <> [] -> bn_fits m d theta (complete tails) ->
  8 <= bn_sharpness m d theta (complete tails).
Proof.
  intros m d tails theta D NE F. destruct (least_path m d tails theta D NE F) as [_ N].
  assert (NEc : complete tails <> []) by (destruct tails; [congruence|discriminate]).
  pose proof (bn_trace_bound m d theta (complete tails) NEc F). lra.
Qed.

(* wen2023/lemma-A.3 as printed fails: n = 1, x = 1, y = 1, one neuron: ||W2||^2 + ||gamma||^2 = 2 is reached, and no trace is below 4. *)
Theorem printed_bound_refuted : let data : samples := [((fun _ => 1), 1)] in
  (exists theta, bn_fits 1 1 theta data /\ norms 1 theta = 2)
  /\ forall theta, bn_fits 1 1 theta data -> 4 <= bn_sharpness 1 1 theta data.
Proof.
  intros data. assert (NE : data <> []) by discriminate. split.
  - set (theta := fun p => match p with W _ _ => 1 | _ => 1 end).
    assert (Pr : pre 2 theta 0 (with_one 1 (fun _ => 1)) = 2) by (unfold pre, dot, theta, with_one; simpl; ring).
    assert (Sz : size 2 (inputs 1 data) theta 0 = 2).
    { unfold size, mean_square_of, inputs, primed, data. cbn [map fst snd Sum length INR]. rewrite Pr, relu_pos by lra.
      replace (/ 1 * (2 ^ 2 + 0)) with (2 * 2) by field. apply sqrt_square. lra. }
    exists theta. split; [split; [|split]|].
    + intros j J. replace j with 0%nat by lia. rewrite Sz. lra.
    + apply bn_smooth.
      * intros j J. replace j with 0%nat by lia. rewrite Sz. lra.
      * intros j x J [<-|[]]. replace j with 0%nat by lia. cbn [fst]. rewrite Pr. lra.
    + intros s [<-|[]]. unfold bn_model, batch_norm, normalized. cbn [fst snd below seq Sum]. rewrite Sz, Pr, relu_pos by lra.
      unfold theta. field.
    + unfold norms, theta. simpl. ring.
  - intros theta F. eapply Rle_trans; [|apply bn_trace_bound; auto]. destruct F as (Al & _ & I).
    assert (V : bn_model 1 1 data theta (with_one 1 (fun _ => 1)) = 1) by (apply (I (with_one 1 (fun _ => 1), 1)); left; auto).
    assert (Sq : normalized 2 (inputs 1 data) theta 0 (with_one 1 (fun _ => 1)) ^ 2 = 1).
    { pose proof (normalized_square 1 2 (inputs 1 data) theta 0 ltac:(discriminate) (Al 0%nat ltac:(lia))) as Q.
      unfold inputs at 1 3, primed, data in Q. cbn [map fst snd Sum length INR] in Q. fold data in Q. lra. }
    unfold bn_model, batch_norm in V. cbn [below seq Sum] in V. unfold norms. cbn [below seq Sum].
    set (u := normalized 2 (inputs 1 data) theta 0 (with_one 1 (fun _ => 1))) in *. set (a := theta (Out 0)) in *. set (g := theta (Gain 0)) in *.
    assert ((a * g) ^ 2 = 1) by (replace ((a * g) ^ 2) with ((a * g * u + 0) ^ 2 / u ^ 2); [rewrite V, Sq; field|field; nra]).
    assert (1 <= Rabs (a * g)) by (rewrite <- (pow2_abs (a * g)) in H; pose proof (Rabs_pos (a * g)); nra).
    rewrite Rabs_mult in H0. rewrite <- (pow2_abs a), <- (pow2_abs g). pose proof (pow2_ge_0 (Rabs a - Rabs g)). nra.
Qed.
