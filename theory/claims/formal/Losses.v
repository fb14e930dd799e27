(* Owns wen2023's statements on losses: theorem A.2 and lemma A.13 on the logistic loss with label smoothing, and equation 15. *)
From Coq Require Import Reals List Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks.
Import ListNotations.
Open Scope R_scope.

(* definition A.2, as printed; labels are 0 and 1. *)
Definition number (b : bool) : R := if b then 1 else 0.
Definition smoothed (p a : R) (b : bool) : R :=
  - p * ln (exp (number b * a) / (1 + exp a)) - (1 - p) * ln (exp ((1 - number b) * a) / (1 + exp a)).

(* ln(1 + e^a) - q a, q = p for the label 1 and 1 - p for 0. *)
Definition cross_entropy (q a : R) : R := ln (1 + exp a) - q * a.
Definition share (p : R) (b : bool) : R := if b then p else 1 - p.

Lemma ln_ratio : forall c a, ln (exp c / (1 + exp a)) = c - ln (1 + exp a).
Proof.
  intros. pose proof (exp_pos a). pose proof (exp_pos c). unfold Rdiv. rewrite ln_mult; auto.
  - rewrite ln_exp, ln_Rinv by lra. ring.
  - apply Rinv_0_lt_compat. lra.
Qed.

Lemma smoothed_is : forall p a b, smoothed p a b = cross_entropy (share p b) a.
Proof.
  intros. unfold smoothed, cross_entropy, share, number. rewrite !ln_ratio. destruct b; ring.
Qed.

(* The target: ln(p/(1-p)) (2 y - 1). *)
Definition target (p : R) (b : bool) : R := ln (p / (1 - p)) * (2 * number b - 1).

Lemma target_is : forall p b, 0 < p < 1 -> target p b = ln (share p b / (1 - share p b)).
Proof.
  intros p b P. unfold target, share, number. destruct b; [rewrite <- (Rmult_1_r (ln _)); f_equal; try ring|].
  replace (1 - (1 - p)) with p by ring. rewrite <- (Rinv_involutive (p / (1 - p))).
  2: { assert (0 < p / (1 - p)) by (apply Rdiv_lt_0_compat; lra). lra. }
  replace (/ (p / (1 - p))) with ((1 - p) / p) by (field; lra).
  rewrite ln_Rinv by (apply Rdiv_lt_0_compat; lra). ring.
Qed.

(* The only minimum: 1 = (1-q) e^-v + q e^(delta-v) >= (1-q)(1-v) + q(1+delta-v) with v = ln(1-q+q e^delta). *)
Lemma cross_entropy_minimum : forall q a, 0 < q < 1 -> a <> ln (q / (1 - q)) ->
  cross_entropy q (ln (q / (1 - q))) < cross_entropy q a.
Proof.
  intros q a Q N. unfold cross_entropy. set (t := ln (q / (1 - q))) in *.
  assert (Et : exp t = q / (1 - q)) by (apply exp_ln, Rdiv_lt_0_compat; lra).
  rewrite Et. replace (1 + q / (1 - q)) with (/ (1 - q)) by (field; lra). rewrite ln_Rinv by lra.
  set (delta := a - t). assert (Ea : exp a = q / (1 - q) * exp delta).
  { rewrite <- Et, <- exp_plus. f_equal. unfold delta. ring. }
  pose proof (exp_pos delta) as Pd.
  assert (Pm : 0 < 1 - q + q * exp delta) by nra.
  set (v := ln (1 - q + q * exp delta)).
  assert (Ev : exp v = 1 - q + q * exp delta) by (apply exp_ln; auto).
  assert (L : ln (1 + exp a) = v - ln (1 - q)).
  { rewrite Ea. replace (1 + q / (1 - q) * exp delta) with ((1 - q + q * exp delta) * / (1 - q)) by (field; lra).
    rewrite ln_mult, ln_Rinv; try lra; auto. apply Rinv_0_lt_compat. lra. }
  rewrite L. enough (q * delta < v) by (unfold delta in *; nra).
  assert (One : (1 - q) * exp (- v) + q * exp (delta - v) = 1).
  { unfold Rminus at 2. rewrite exp_plus, exp_Ropp, Ev. field. lra. }
  assert (D0 : delta <> 0) by (unfold delta; lra).
  assert (G : forall u, 1 + u <= exp u).
  { intros u. destruct (Req_dec u 0) as [->|U]; [rewrite exp_0; lra|]. left. apply exp_ineq1. auto. }
  destruct (Req_dec v 0) as [V|V].
  - assert (S : 1 + (delta - v) < exp (delta - v)) by (apply exp_ineq1; lra). pose proof (G (- v)). nra.
  - assert (S : 1 + - v < exp (- v)) by (apply exp_ineq1; lra). pose proof (G (delta - v)). nra.
Qed.

Section Models.
Context {T X : Type}.
Implicit Types (f : T -> X -> R) (data : list (X * bool)).

Definition minimizes (risk : T -> R) (theta : T) : Prop := forall theta', risk theta <= risk theta'.
Definition smoothed_risk p f data theta : R :=
  / INR (length data) * Sum data (fun s => smoothed p (f theta (fst s)) (snd s)).
Definition square_risk (goal : bool -> R) f data theta : R :=
  / INR (length data) * Sum data (fun s => (f theta (fst s) - goal (snd s)) ^ 2).

Lemma smoothed_minimum : forall p a b, 0 < p < 1 ->
  smoothed p (target p b) b <= smoothed p a b /\ (smoothed p a b = smoothed p (target p b) b -> a = target p b).
Proof.
  intros p a b P. rewrite !smoothed_is, target_is by auto.
  assert (Q : 0 < share p b < 1) by (unfold share; destruct b; lra).
  destruct (Req_dec a (ln (share p b / (1 - share p b)))) as [->|N]; [split; auto; lra|].
  pose proof (cross_entropy_minimum _ a Q N). split; [lra|]. intros. lra.
Qed.

(* wen2023/theorem-A.2 as corrected: where some model has square risk 0 at the targets ln(p/(1-p)) (2 y_i - 1), the minimizers of the
   smoothed logistic risk are those of the square risk. *)
Theorem same_minimizers : forall p f data, 0 < p < 1 -> (exists theta, square_risk (target p) f data theta = 0) ->
  forall theta, minimizes (smoothed_risk p f data) theta <-> minimizes (square_risk (target p) f data) theta.
Proof.
  intros p f data P [best Z].
  destruct data as [|s0 rest].
  { intros theta. unfold minimizes, smoothed_risk, square_risk. simpl. split; intros _ t; lra. }
  set (data := s0 :: rest) in *.
  assert (Pn : 0 < / INR (length data)) by (apply Rinv_0_lt_compat, lt_0_INR; simpl; lia).
  assert (B : forall theta, square_risk (target p) f data theta = 0 <-> forall s, In s data -> f theta (fst s) = target p (snd s)).
  { intros theta. unfold square_risk. split.
    - intros E s I. apply Rmult_integral in E. destruct E as [E|E]; [lra|].
      apply (sum_nonneg_zero data (fun s => (f theta (fst s) - target p (snd s)) ^ 2)) with (a := s) in E; auto.
      + destruct (Req_dec (f theta (fst s) - target p (snd s)) 0) as [|N]; [lra|].
        apply pow_nonzero with (n := 2%nat) in N. contradiction.
      + intros. apply pow2_ge_0.
    - intros H. rewrite sum_zero; [ring|]. intros s I. rewrite (H s I). ring. }
  assert (N : forall theta, 0 <= square_risk (target p) f data theta).
  { intros. apply Rmult_le_pos; [lra|]. apply sum_nonneg. intros. apply pow2_ge_0. }
  assert (Hits := proj1 (B best) Z).
  intros theta. split.
  - intros M theta'. apply Rle_trans with 0; auto. right. apply B.
    specialize (M best). unfold smoothed_risk in M. apply Rmult_le_reg_l in M; auto.
    assert (E : Sum data (fun s => smoothed p (f theta (fst s)) (snd s) - smoothed p (target p (snd s)) (snd s)) = 0).
    { apply Rle_antisym.
      - rewrite sum_minus. rewrite (sum_ext data (fun s => smoothed p (target p (snd s)) (snd s))
          (fun s => smoothed p (f best (fst s)) (snd s))); [lra|]. intros s I. rewrite (Hits s I). auto.
      - apply sum_nonneg. intros s I. destruct (smoothed_minimum p (f theta (fst s)) (snd s) P). lra. }
    intros s I. apply (proj2 (smoothed_minimum p (f theta (fst s)) (snd s) P)).
    apply (sum_nonneg_zero data (fun s => smoothed p (f theta (fst s)) (snd s) - smoothed p (target p (snd s)) (snd s))) with (a := s) in E; auto.
    + lra.
    + intros s' I'. destruct (smoothed_minimum p (f theta (fst s')) (snd s') P). lra.
  - intros M theta'. assert (E : square_risk (target p) f data theta = 0).
    { apply Rle_antisym; auto. rewrite <- Z. apply M. }
    unfold smoothed_risk. apply Rmult_le_compat_l; [lra|]. apply sum_le. intros s I.
    rewrite (proj1 (B theta) E s I). apply smoothed_minimum. auto.
Qed.
End Models.

(* As printed, with gamma_p = ln((1-p)/p), it fails: one sample, y = 1, p = 1/5, f(theta) = theta. *)
Theorem printed_target_refuted : let f (theta : R) (_ : unit) := theta in let data := [(tt, true)] in
  let printed b := ln ((1 - 1 / 5) / (1 / 5)) * (2 * number b - 1) in
  minimizes (square_risk printed f data) (ln 4) /\ square_risk printed f data (ln 4) = 0
  /\ ~ minimizes (smoothed_risk (1 / 5) f data) (ln 4) /\ minimizes (smoothed_risk (1 / 5) f data) (- ln 4).
Proof.
  intros f data printed.
  assert (Pr : printed true = ln 4).
  { unfold printed, number. replace ((1 - 1 / 5) / (1 / 5)) with 4 by field. ring. }
  assert (Ta : target (1 / 5) true = - ln 4).
  { unfold target, number. replace (1 / 5 / (1 - 1 / 5)) with (/ 4) by field. rewrite ln_Rinv by lra. ring. }
  assert (Z : square_risk printed f data (ln 4) = 0).
  { unfold square_risk, data, f. cbn [Sum fst snd length]. rewrite Pr. ring. }
  assert (L4 : 0 < ln 4) by (rewrite <- ln_1; apply ln_increasing; lra).
  assert (M : forall theta, smoothed_risk (1 / 5) f data theta = smoothed (1 / 5) theta true).
  { intros. unfold smoothed_risk, data, f. cbn [Sum fst snd length INR]. lra. }
  split; [|split; [auto|split]].
  - intros theta'. rewrite Z. unfold square_risk, data. cbn [Sum fst snd length INR].
    pose proof (pow2_ge_0 (f theta' tt - printed true)). lra.
  - intros H. specialize (H (- ln 4)). rewrite !M in H. rewrite <- Ta in H.
    destruct (smoothed_minimum (1 / 5) (ln 4) true) as [A B]; [lra|]. rewrite B in Ta; lra.
  - intros theta'. rewrite !M, <- Ta. apply smoothed_minimum. lra.
Qed.

(* --- lemma A.13 ------------------------------------------------------------------------------------------------------------------- *)

Lemma jet_cross_entropy : forall q a, jet (cross_entropy q) a (exp a / (1 + exp a) - q) (exp a / (1 + exp a) ^ 2).
Proof.
  intros q a. exists (fun t => exp t / (1 + exp t) - q). split; [|split; [reflexivity|]].
  - apply filter_forall. intros t. unfold cross_entropy. pose proof (exp_pos t). auto_derive; [lra|]. field. lra.
  - pose proof (exp_pos a). auto_derive; [lra|]. field. lra.
Qed.

Lemma jet_at_target : forall p b, 0 < p < 1 -> jet (fun a => smoothed p a b) (target p b) 0 (p * (1 - p)).
Proof.
  intros p b P. apply jet_ext with (cross_entropy (share p b)); [intros; symmetry; apply smoothed_is|].
  rewrite target_is by auto. assert (Q : 0 < share p b < 1) by (unfold share; destruct b; lra).
  assert (E : exp (ln (share p b / (1 - share p b))) = share p b / (1 - share p b)) by (apply exp_ln, Rdiv_lt_0_compat; lra).
  eapply jet_eq; [| |apply jet_cross_entropy]; rewrite E.
  - field. lra.
  - transitivity (share p b * (1 - share p b)); [field; lra|]. unfold share. destruct b; ring.
Qed.

(* wen2023/lemma-A.13 as corrected: where every target is attained, Tr Hess L = p (1-p) (1/n) sum_i ||grad f(x_i)||^2. *)
Theorem trace_of_smoothed_risk : forall {A X} `{Indexed A} (params : list A) p (f : (A -> R) -> X -> R) data theta, 0 < p < 1 ->
  (forall s, In s data -> twice_differentiable params (fun th => f th (fst s)) theta) ->
  (forall s, In s data -> f theta (fst s) = target p (snd s)) ->
  trace params (smoothed_risk p f data) theta
  = p * (1 - p) * (/ INR (length data) * Sum data (fun s => squared_gradient params (fun th => f th (fst s)) theta)).
Proof.
  intros A X IA params p f data theta P S Hit. unfold trace, squared_gradient.
  rewrite sum_swap, <- !sum_scal. apply sum_ext. intros q Q. unfold second.
  apply jet_second with (/ INR (length data) * 0).
  apply jet_eq with (/ INR (length data) * Sum data (fun _ => 0))
    (/ INR (length data) * Sum data (fun s => p * (1 - p) * partial (fun th => f th (fst s)) theta q ^ 2)).
  { rewrite sum_const. ring. }
  { rewrite sum_scal. ring. }
  unfold along, smoothed_risk. apply jet_scal.
  apply (jet_sum data (fun s t => smoothed p (f (update theta q t) (fst s)) (snd s))).
  intros s I. destruct (S s I q Q) as (d1 & d2 & J). unfold partial. rewrite (jet_derive _ _ _ _ J).
  assert (E : along (fun th => f th (fst s)) theta q (theta q) = target p (snd s)).
  { rewrite along_self. apply Hit. auto. }
  assert (K := jet_at_target p (snd s) P). rewrite <- E in K.
  assert (C := jet_comp (fun a => smoothed p a (snd s)) _ _ d1 d2 _ _ K J).
  eapply jet_eq; [| |exact C]; ring.
Qed.

(* As printed, with 1/(p(1-p)), it fails: f(theta) = theta, one sample with y = 1, p = 1/2: L'' = 1/4, the printed right side is 4. *)
Theorem printed_factor_refuted :
  Derive_n (fun theta => smoothed (1 / 2) theta true) 2 (target (1 / 2) true) = 1 / 4
  /\ (forall theta', smoothed (1 / 2) (target (1 / 2) true) true <= smoothed (1 / 2) theta' true)
  /\ / (1 / 2 * (1 - 1 / 2)) * Derive (fun theta => theta) (target (1 / 2) true) ^ 2 = 4.
Proof.
  split; [|split].
  - erewrite jet_second; [|apply jet_at_target; lra]. field.
  - intros. apply smoothed_minimum. lra.
  - rewrite Derive_id. field.
Qed.

(* --- equation 15 ------------------------------------------------------------------------------------------------------------------- *)

Definition truncated (c u : R) : R :=
  if Rle_dec (Rabs u) c then u ^ 2 else if Rle_dec (Rabs u) (2 * c) then - u ^ 2 + 4 * c * Rabs u - 2 * c ^ 2 else 2 * c ^ 2.

(* Its derivative. *)
Definition slope (c u : R) : R := 2 * u - 4 * relu (u - c) + 4 * relu (- u - c) + 2 * relu (u - 2 * c) - 2 * relu (- u - 2 * c).

Lemma truncated_is : forall c u, 0 < c ->
  truncated c u = u ^ 2 - 2 * relu (u - c) ^ 2 - 2 * relu (- u - c) ^ 2 + relu (u - 2 * c) ^ 2 + relu (- u - 2 * c) ^ 2.
Proof.
  intros c u C. unfold truncated, relu, Rmax, Rabs. destruct (Rcase_abs u);
  destruct (Rle_dec _ c) as [H1|H1]; destruct (Rle_dec 0 (u - c)), (Rle_dec 0 (- u - c)), (Rle_dec 0 (u - 2 * c)), (Rle_dec 0 (- u - 2 * c));
  try lra; try nra; destruct (Rle_dec _ (2 * c)); try lra; try nra.
Qed.

Lemma derive_relu_square : forall x, is_derive (fun t => relu t ^ 2) x (2 * relu x).
Proof.
  intros x. destruct (Req_dec x 0) as [->|N].
  - rewrite relu_pos by lra. replace (2 * 0) with 0 by ring. apply is_derive_Reals. intros eps E. exists (mkposreal eps E).
    intros h Hn Hb. simpl in Hb. rewrite Rplus_0_l, (relu_pos 0) by lra.
    unfold Rabs in *. unfold relu, Rmax. destruct (Rle_dec 0 h).
    + replace ((h ^ 2 - 0 ^ 2) / h - 0) with h by (field; auto). destruct (Rcase_abs h); lra.
    + replace ((0 ^ 2 - 0 ^ 2) / h - 0) with 0 by (field; auto). destruct (Rcase_abs 0); lra.
  - assert (J := jet_comp (fun v => v ^ 2) relu x _ _ _ _ (jet_square _) (jet_relu x N)). apply jet_first in J.
    replace (2 * relu x) with (step x * (2 * relu x)); auto.
    replace (step x * (2 * relu x)) with (2 * (step x * relu x)) by ring. rewrite step_relu. auto.
Qed.

Lemma derive_relu_square_comp : forall s c x, is_derive (fun t => relu (s * t - c) ^ 2) x (s * (2 * relu (s * x - c))).
Proof.
  intros. apply (is_derive_comp (fun v => relu v ^ 2) (fun t => s * t - c) x).
  - apply derive_relu_square.
  - auto_derive; auto. ring.
Qed.

Lemma relu_lipschitz : forall x y, x <= y -> 0 <= relu y - relu x <= y - x.
Proof. intros. unfold relu, Rmax. destruct (Rle_dec 0 x), (Rle_dec 0 y); lra. Qed.

Lemma slope_lipschitz_up : forall c u v, 0 < c -> u <= v -> Rabs (slope c v - slope c u) <= 2 * (v - u).
Proof.
  intros c u v C L. apply Rabs_le. unfold slope.
  assert (A : 0 <= relu (v - 2 * c) - relu (u - 2 * c) <= relu (v - c) - relu (u - c)).
  { unfold relu, Rmax. destruct (Rle_dec 0 (v - 2 * c)), (Rle_dec 0 (u - 2 * c)), (Rle_dec 0 (v - c)), (Rle_dec 0 (u - c)); lra. }
  assert (B : 0 <= relu (- u - 2 * c) - relu (- v - 2 * c) <= relu (- u - c) - relu (- v - c)).
  { unfold relu, Rmax. destruct (Rle_dec 0 (- v - 2 * c)), (Rle_dec 0 (- u - 2 * c)), (Rle_dec 0 (- v - c)), (Rle_dec 0 (- u - c)); lra. }
  assert (D : (relu (v - c) - relu (u - c)) + (relu (- u - c) - relu (- v - c)) <= v - u).
  { unfold relu, Rmax. destruct (Rle_dec 0 (v - c)), (Rle_dec 0 (u - c)), (Rle_dec 0 (- v - c)), (Rle_dec 0 (- u - c)); lra. }
  lra.
Qed.

(* wen2023/equation-15: even, differentiable, 2-smooth, at most u^2 and 2 c^2. *)
Theorem truncated_square_loss : forall c, 0 < c ->
  (forall u : R, is_derive (truncated c) u (slope c u))
  /\ (forall u v, Rabs (slope c u - slope c v) <= 2 * Rabs (u - v))
  /\ (forall u, 0 <= truncated c u <= Rmin (u ^ 2) (2 * c ^ 2))
  /\ (forall u, truncated c (- u) = truncated c u).
Proof.
  intros c C. split; [|split; [|split]].
  - assert (E : forall t : R, t ^ 2 - 2 * relu (1 * t - c) ^ 2 - 2 * relu (- 1 * t - c) ^ 2 + relu (1 * t - 2 * c) ^ 2
      + relu (- 1 * t - 2 * c) ^ 2 = truncated c t).
    { intros t. rewrite truncated_is by auto. replace (1 * t) with t by ring. replace (- 1 * t) with (- t) by ring. auto. }
    intros u. apply is_derive_ext with (1 := E).
    replace (slope c u) with (2 * u - 2 * (1 * (2 * relu (1 * u - c))) - 2 * (- 1 * (2 * relu (- 1 * u - c)))
      + (1 * (2 * relu (1 * u - 2 * c))) + (- 1 * (2 * relu (- 1 * u - 2 * c)))).
    2: { unfold slope. replace (1 * u) with u by ring. replace (- 1 * u) with (- u) by ring. ring. }
    apply @is_derive_plus; [apply @is_derive_plus; [apply @is_derive_minus; [apply @is_derive_minus|]|]|].
    + auto_derive; auto. ring.
    + apply is_derive_scal. apply derive_relu_square_comp.
    + apply is_derive_scal. apply derive_relu_square_comp.
    + apply derive_relu_square_comp.
    + apply derive_relu_square_comp.
  - intros u v. destruct (Rle_dec u v).
    + rewrite Rabs_minus_sym, (Rabs_minus_sym u v), (Rabs_pos_eq (v - u)) by lra. apply slope_lipschitz_up; auto.
    + rewrite (Rabs_pos_eq (u - v)) by lra. apply slope_lipschitz_up; lra.
  - intros u. unfold Rmin. destruct (Rle_dec (u ^ 2) (2 * c ^ 2)); unfold truncated, Rabs in *; destruct (Rcase_abs u);
    destruct (Rle_dec _ c); try destruct (Rle_dec _ (2 * c)); split; nra.
  - intros u. unfold truncated. rewrite Rabs_Ropp. replace ((- u) ^ 2) with (u ^ 2) by ring. auto.
Qed.
