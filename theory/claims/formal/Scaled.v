(* Owns what rescaling parameters one by one does to the derivatives of a function that does not see it: the layers of a ReLU network
   (dinh2017/hessian, dinh2017/trace), all weights by one number (lyu2022/gradient, lyu2022/hessian). *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks Keskar DiagonalHessian.
Import ListNotations.
Open Scope R_scope.

Section Scaling.
Context {A : Type} `{Indexed A}.
Variables (s : A -> R) (g : (A -> R) -> R).

Definition scaled (w : A -> R) : A -> R := fun p => s p * w p.

Hypothesis nonzero : forall p, s p <> 0.
Hypothesis unseen : forall w, g (scaled w) = g w.

Lemma update_scaled : forall w p t, update (scaled w) p t = scaled (update w p (/ s p * t)).
Proof.
  intros. apply functional_extensionality. intro q. unfold update, scaled. destruct (same q p) as [->|]; auto. field. auto.
Qed.

Lemma along_scaled : forall w p t, along g (scaled w) p t = along g w p (/ s p * t).
Proof. intros. unfold along. rewrite update_scaled. apply unseen. Qed.

Lemma unscaled : forall w p, / s p * scaled w p = w p.
Proof. intros. unfold scaled. field. auto. Qed.

Theorem scaled_derivative : forall w p l, is_derive (along g w p) (w p) l -> is_derive (along g (scaled w) p) (scaled w p) (/ s p * l).
Proof.
  intros w p l D. apply is_derive_ext with (fun t => along g w p (/ s p * t)); [intros; symmetry; apply along_scaled|].
  apply (is_derive_comp (along g w p) (fun t => / s p * t) (scaled w p) l (/ s p)).
  - rewrite unscaled. exact D.
  - auto_derive; auto. ring.
Qed.

Theorem scaled_partial : forall w p, ex_derive (along g w p) (w p) -> partial g (scaled w) p = partial g w p / s p.
Proof.
  intros w p [l D]. unfold partial. rewrite (is_derive_unique _ _ _ D).
  rewrite (is_derive_unique _ _ _ (scaled_derivative w p l D)). field. auto.
Qed.

Theorem scaled_jet : forall w p d1 d2, jet (along g w p) (w p) d1 d2 ->
  jet (along g (scaled w) p) (scaled w p) (d1 / s p) (d2 / s p ^ 2).
Proof.
  intros w p d1 d2 J. apply jet_ext with (fun t => along g w p (/ s p * t + 0)).
  - intros. rewrite along_scaled. f_equal. ring.
  - assert (E : / s p * scaled w p + 0 = w p) by (rewrite unscaled; ring).
    assert (K : jet (along g w p) (/ s p * scaled w p + 0) d1 d2) by (rewrite E; exact J).
    assert (C := jet_comp (along g w p) (fun t => / s p * t + 0) (scaled w p) _ _ _ _ K (jet_affine (/ s p) 0 (scaled w p))).
    eapply jet_eq; [| |exact C]; field; auto.
Qed.

(* An entry of the Hessian, where the derivatives that it is made of exist. *)
Theorem scaled_mixed : forall w p q, locally (w p) (fun t => ex_derive (along g (update w p t) q) (update w p t q)) ->
  ex_derive (fun t => partial g (update w p t) q) (w p) ->
  mixed g (scaled w) p q = mixed g w p q / (s p * s q).
Proof.
  intros w p q L [h D]. replace (mixed g w p q) with h by (symmetry; apply is_derive_unique; exact D).
  unfold mixed. apply is_derive_unique.
  assert (C : continuous (fun t => / s p * t) (scaled w p)).
  { apply @ex_derive_continuous. auto_derive. auto. }
  assert (Near : locally (scaled w p) (fun t => ex_derive (along g (update w p (/ s p * t)) q) (update w p (/ s p * t) q))).
  { apply (C (fun u => ex_derive (along g (update w p u) q) (update w p u q))). rewrite unscaled. exact L. }
  apply is_derive_ext_loc with (fun t => / s q * partial g (update w p (/ s p * t)) q).
  - apply filter_imp with (2 := Near). intros t X. rewrite update_scaled, scaled_partial by exact X. change (/ s q * partial g (update w p (/ s p * t)) q = partial g (update w p (/ s p * t)) q / s q). field. auto.
  - assert (E : h / (s p * s q) = / s q * (/ s p * h)) by (field; auto). rewrite E.
    apply is_derive_scal. apply (is_derive_comp (fun u => partial g (update w p u) q) (fun t => / s p * t) (scaled w p) h (/ s p)).
    + rewrite unscaled. exact D.
    + auto_derive; auto. ring.
Qed.
End Scaling.

(* --- all weights by one number ------------------------------------------------------------------------------------------------ *)

Section Invariant.
Context {A : Type} `{Indexed A}.
Variables (params : list A) (g : (A -> R) -> R).
Definition scale_invariant : Prop := forall c w, 0 < c -> g (fun p => c * w p) = g w.
Hypothesis invariant : scale_invariant.

(* lyu2022/gradient: the gradient G of g at w, as a derivative in all parameters at once, is orthogonal to w. *)
Theorem gradient_orthogonal : forall w G,
  (forall eps, 0 < eps -> exists delta, 0 < delta /\ forall v, (forall p, In p params -> Rabs (v p) <= delta) ->
    Rabs (g (fun p => w p + v p) - g w - Sum params (fun p => G p * v p)) <= eps * Sum params (fun p => Rabs (v p))) ->
  Sum params (fun p => G p * w p) = 0.
Proof.
  intros w G D. set (S := Sum params (fun p => G p * w p)). set (N := Sum params (fun p => Rabs (w p))).
  assert (N0 : 0 <= N) by (apply sum_nonneg; intros; apply Rabs_pos).
  assert (Small : forall eps, 0 < eps -> Rabs S <= eps * N).
  { intros eps E. destruct (D eps E) as (delta & P & Near). set (t := delta / (1 + N)).
    assert (T : 0 < t) by (apply Rdiv_lt_0_compat; lra).
    assert (B : forall p, In p params -> Rabs (t * w p) <= delta).
    { intros p I. rewrite Rabs_mult, (Rabs_pos_eq t) by lra.
      assert (W : Rabs (w p) <= N) by (apply (sum_term_le params (fun p => Rabs (w p))); auto; intros; apply Rabs_pos).
      replace delta with (t * (1 + N)) by (unfold t; field; lra). apply Rmult_le_compat_l; lra. }
    specialize (Near (fun p => t * w p) B). cbv beta in Near.
    replace (fun p => w p + t * w p) with (fun p => (1 + t) * w p) in Near by (apply functional_extensionality; intro; ring).
    rewrite (invariant (1 + t) w) in Near by lra.
    rewrite (sum_ext params (fun p => G p * (t * w p)) (fun p => t * (G p * w p))) in Near by (intros; ring).
    rewrite (sum_ext params (fun p => Rabs (t * w p)) (fun p => t * Rabs (w p))) in Near
      by (intros; rewrite Rabs_mult, (Rabs_pos_eq t); lra).
    rewrite !sum_scal in Near. fold S N in Near. replace (g w - g w - t * S) with (- (t * S)) in Near by ring.
    rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq t) in Near by lra. apply Rmult_le_reg_l with t; lra. }
  destruct (Req_dec S 0) as [Z|Z]; auto. exfalso. assert (0 < Rabs S) by (apply Rabs_pos_lt; auto).
  specialize (Small (Rabs S / (2 * (1 + N)))). assert (Q : 0 < Rabs S / (2 * (1 + N))) by (apply Rdiv_lt_0_compat; lra).
  specialize (Small Q). assert (Rabs S / (2 * (1 + N)) * N < Rabs S); [|lra].
  apply Rmult_lt_reg_r with (2 * (1 + N)); [lra|]. replace (Rabs S / (2 * (1 + N)) * N * (2 * (1 + N))) with (Rabs S * N) by (field; lra). nra.
Qed.

Variable c : R.
Hypothesis positive : 0 < c.

(* lyu2022/gradient. *)
Theorem invariant_partial : forall w p, ex_derive (along g w p) (w p) -> partial g (fun q => c * w q) p = partial g w p / c.
Proof.
  intros. apply (scaled_partial (fun _ => c) g); auto; [intros; lra|]. intros v. exact (invariant c v positive).
Qed.

(* lyu2022/hessian. *)
Theorem invariant_hessian : forall w p q, locally (w p) (fun t => ex_derive (along g (update w p t) q) (update w p t q)) ->
  ex_derive (fun t => partial g (update w p t) q) (w p) ->
  mixed g (fun r => c * w r) p q = mixed g w p q / c ^ 2.
Proof.
  intros. replace (c ^ 2) with (c * c) by ring. apply (scaled_mixed (fun _ => c) g); auto; [intros; lra|]. intros v. exact (invariant c v positive).
Qed.
End Invariant.

(* --- the layers of a ReLU network --------------------------------------------------------------------------------------------- *)

Section Layers.
Variables (m d : nat) (data : list (point * R)) (alpha : R).
Hypothesis positive : 0 < alpha.
Let L := mse (network m d) data.
Definition factor (p : parameter) : R := match p with Weight _ _ => alpha | Output _ => / alpha end.

Lemma factor_nonzero : forall p, factor p <> 0.
Proof. intros []; simpl; [lra|apply Rinv_neq_0_compat; lra]. Qed.

Lemma scaled_is_rescaled : forall theta, scaled factor theta = rescaled alpha theta.
Proof. intros. apply functional_extensionality. intros []; unfold scaled, rescaled, factor; [auto|field; lra]. Qed.

Lemma layers_unseen : forall theta, L (scaled factor theta) = L theta.
Proof. intros. rewrite scaled_is_rescaled. apply rescaled_mse. auto. Qed.

(* dinh2017/hessian. *)
Theorem rescaled_hessian : forall theta p q, locally (theta p) (fun t => ex_derive (along L (update theta p t) q) (update theta p t q)) ->
  ex_derive (fun t => partial L (update theta p t) q) (theta p) ->
  mixed L (rescaled alpha theta) p q = mixed L theta p q / (factor p * factor q).
Proof. intros. rewrite <- scaled_is_rescaled. apply scaled_mixed; auto; [apply factor_nonzero|apply layers_unseen]. Qed.

Theorem rescaled_gradient : forall theta p, ex_derive (along L theta p) (theta p) ->
  partial L (rescaled alpha theta) p = partial L theta p / factor p.
Proof. intros. rewrite <- scaled_is_rescaled. apply scaled_partial; auto; [apply factor_nonzero|apply layers_unseen]. Qed.

Definition first_layer (g : (parameter -> R) -> R) theta : R :=
  Sum (below m) (fun j => Sum (below d) (fun k => second g theta (Weight j k))).
Definition last_layer (g : (parameter -> R) -> R) theta : R := Sum (below m) (fun j => second g theta (Output j)).

Lemma trace_by_layers : forall g theta, trace (parameters m d) g theta = first_layer g theta + last_layer g theta.
Proof.
  intros. unfold trace, parameters, first_layer, last_layer. rewrite sum_app, sum_flat_map, sum_map. f_equal.
  apply sum_ext. intros. apply sum_map.
Qed.

Lemma rescaled_second : forall theta p, (exists d1 d2, jet (along L theta p) (theta p) d1 d2) ->
  second L (rescaled alpha theta) p = second L theta p / factor p ^ 2.
Proof.
  intros theta p (d1 & d2 & J). unfold second at 2. rewrite (jet_second _ _ _ _ J). rewrite <- scaled_is_rescaled.
  unfold second. eapply jet_second. apply (scaled_jet factor L); [apply factor_nonzero|apply layers_unseen|exact J].
Qed.

(* dinh2017/trace: t_1 / alpha² + alpha² t_2. *)
Theorem rescaled_trace : forall theta, twice_differentiable (parameters m d) L theta ->
  trace (parameters m d) L (rescaled alpha theta) = first_layer L theta / alpha ^ 2 + alpha ^ 2 * last_layer L theta.
Proof.
  intros theta D. rewrite trace_by_layers. unfold first_layer, last_layer.
  assert (One : forall j k, (j < m)%nat -> (k < d)%nat ->
    second L (rescaled alpha theta) (Weight j k) = second L theta (Weight j k) * / alpha ^ 2).
  { intros j k J K. rewrite rescaled_second; [simpl; field; lra|]. apply D. unfold parameters. apply in_or_app. left.
    apply in_flat_map. exists j. split; [apply in_below; auto|]. apply in_map. apply in_below. auto. }
  assert (Two : forall j, (j < m)%nat -> second L (rescaled alpha theta) (Output j) = alpha ^ 2 * second L theta (Output j)).
  { intros j J. rewrite rescaled_second; [simpl; field; lra|]. apply D. unfold parameters. apply in_or_app. right.
    apply in_map. apply in_below. auto. }
  f_equal.
  - unfold Rdiv. rewrite <- sum_scal_r. apply sum_ext. intros j J. apply in_below in J. rewrite <- sum_scal_r.
    apply sum_ext. intros k K. apply in_below in K. auto.
  - rewrite <- sum_scal. apply sum_ext. intros j J. apply in_below in J. auto.
Qed.
End Layers.

(* dinh2017/trace: beyond every bound, and from below 2 sqrt(t_1 t_2). *)
Theorem trace_unbounded : forall m d theta data, let L := mse (network m d) data in
  twice_differentiable (parameters m d) L theta -> 0 < first_layer m d L theta -> 0 <= last_layer m L theta ->
  forall bound, exists alpha, 0 < alpha /\ (forall x, network m d (rescaled alpha theta) x = network m d theta x)
    /\ bound < trace (parameters m d) L (rescaled alpha theta).
Proof.
  intros m d theta data L D P Q bound. set (t := first_layer m d L theta) in *.
  set (M := 1 + Rabs bound). assert (M1 : 1 <= M) by (unfold M; pose proof (Rabs_pos bound); lra).
  assert (Al : 0 < sqrt (t / M)) by (apply sqrt_lt_R0, Rdiv_lt_0_compat; lra).
  exists (sqrt (t / M)). split; [auto|split; [intros; apply rescaled_network; auto|]].
  unfold L. rewrite rescaled_trace by auto. fold L. fold t.
  assert (E : sqrt (t / M) ^ 2 = t / M) by (apply pow2_sqrt; left; apply Rdiv_lt_0_compat; lra). rewrite E.
  replace (t / (t / M)) with M by (field; split; lra).
  assert (0 <= t / M * last_layer m L theta) by (apply Rmult_le_pos; [left; apply Rdiv_lt_0_compat|]; lra).
  assert (bound < M) by (unfold M; pose proof (Rle_abs bound); lra). lra.
Qed.

Theorem trace_floor : forall m d theta data alpha, let L := mse (network m d) data in
  twice_differentiable (parameters m d) L theta -> 0 < alpha -> 0 <= first_layer m d L theta -> 0 <= last_layer m L theta ->
  2 * sqrt (first_layer m d L theta * last_layer m L theta) <= trace (parameters m d) L (rescaled alpha theta).
Proof.
  intros m d theta data alpha L D A P Q. unfold L. rewrite rescaled_trace by auto. fold L.
  set (t := first_layer m d L theta) in *. set (u := last_layer m L theta) in *.
  rewrite sqrt_mult by auto. pose proof (sqrt_sqrt t P). pose proof (sqrt_sqrt u Q).
  assert (0 <= (sqrt t * / alpha - alpha * sqrt u) ^ 2) by apply pow2_ge_0.
  replace (t / alpha ^ 2) with ((sqrt t * / alpha) ^ 2) by (rewrite <- H at 2; field; lra).
  replace (alpha ^ 2 * u) with ((alpha * sqrt u) ^ 2) by (rewrite <- H0 at 2; ring).
  assert (E : (sqrt t * / alpha) * (alpha * sqrt u) = sqrt t * sqrt u) by (field; lra). nra.
Qed.
