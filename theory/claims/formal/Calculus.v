(* Owns what a derivative is here: partial derivatives of a function of finitely many parameters, the squared length of its gradient, the
   trace of its Hessian, the mean squared error. Parameters are a list of indices of any type with decidable equality. *)
From Coq Require Import Reals List Lra Lia FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums.
Import ListNotations.
Open Scope R_scope.

(* g has around x a derivative, of value d1 at x, which has itself the derivative d2 at x. *)
Definition jet (g : R -> R) (x d1 d2 : R) : Prop :=
  exists g' : R -> R, locally x (fun t => is_derive g t (g' t)) /\ g' x = d1 /\ is_derive g' x d2.

Section Jets.
Implicit Types (g h : R -> R).

Lemma jet_first : forall g x d1 d2, jet g x d1 d2 -> is_derive g x d1.
Proof. intros g x d1 d2 (g' & L & E & _). rewrite <- E. apply (locally_singleton _ _ L). Qed.

Lemma jet_derive : forall g x d1 d2, jet g x d1 d2 -> Derive g x = d1.
Proof. intros. apply is_derive_unique. eapply jet_first; eauto. Qed.

Lemma jet_second : forall g x d1 d2, jet g x d1 d2 -> Derive_n g 2 x = d2.
Proof.
  intros g x d1 d2 (g' & L & _ & D). simpl. apply is_derive_unique.
  apply is_derive_ext_loc with g'; [|exact D].
  apply filter_imp with (2 := L). intros t H. symmetry. apply is_derive_unique. exact H.
Qed.

Lemma jet_ext_loc : forall g h x d1 d2, locally x (fun t => g t = h t) -> jet g x d1 d2 -> jet h x d1 d2.
Proof.
  intros g h x d1 d2 L (g' & Lg & E & D). exists g'. split; [|split; auto].
  assert (LL := locally_locally _ _ L).
  assert (B := filter_and _ _ LL Lg). apply filter_imp with (2 := B).
  intros t [H1 H2]. apply is_derive_ext_loc with g; auto.
Qed.

Lemma jet_ext : forall g h x d1 d2, (forall t, g t = h t) -> jet g x d1 d2 -> jet h x d1 d2.
Proof. intros. apply jet_ext_loc with g; auto. apply filter_forall; auto. Qed.

Lemma jet_eq : forall g x d1 d2 e1 e2, d1 = e1 -> d2 = e2 -> jet g x d1 d2 -> jet g x e1 e2.
Proof. intros; subst; auto. Qed.

Lemma jet_const : forall c x, jet (fun _ => c) x 0 0.
Proof.
  intros. exists (fun _ => 0). split; [|split; [reflexivity|]].
  - apply filter_forall. intros. apply @is_derive_const.
  - apply @is_derive_const.
Qed.

Lemma jet_affine : forall a b x, jet (fun t => a * t + b) x a 0.
Proof.
  intros. exists (fun _ => a). split; [|split; [reflexivity|]].
  - apply filter_forall. intros. auto_derive; auto. ring.
  - apply @is_derive_const.
Qed.

Lemma jet_plus : forall g h x d1 d2 e1 e2, jet g x d1 d2 -> jet h x e1 e2 -> jet (fun t => g t + h t) x (d1 + e1) (d2 + e2).
Proof.
  intros g h x d1 d2 e1 e2 (g' & Lg & Eg & Dg) (h' & Lh & Eh & Dh).
  exists (fun t => g' t + h' t). split; [|split].
  - apply filter_imp with (2 := filter_and _ _ Lg Lh). intros t [H1 H2]. apply @is_derive_plus; auto.
  - congruence.
  - apply @is_derive_plus; auto.
Qed.

Lemma jet_scal : forall c g x d1 d2, jet g x d1 d2 -> jet (fun t => c * g t) x (c * d1) (c * d2).
Proof.
  intros c g x d1 d2 (g' & Lg & Eg & Dg). exists (fun t => c * g' t). split; [|split].
  - apply filter_imp with (2 := Lg). intros t H. apply is_derive_scal; auto.
  - congruence.
  - apply is_derive_scal; auto.
Qed.

Lemma jet_mult : forall g h x d1 d2 e1 e2, jet g x d1 d2 -> jet h x e1 e2 ->
  jet (fun t => g t * h t) x (d1 * h x + g x * e1) (d2 * h x + 2 * d1 * e1 + g x * e2).
Proof.
  intros g h x d1 d2 e1 e2 Jg Jh. assert (Fg := jet_first _ _ _ _ Jg). assert (Fh := jet_first _ _ _ _ Jh).
  destruct Jg as (g' & Lg & Eg & Dg), Jh as (h' & Lh & Eh & Dh).
  exists (fun t => g' t * h t + g t * h' t). split; [|split].
  - apply filter_imp with (2 := filter_and _ _ Lg Lh). intros t [H1 H2].
    apply (is_derive_mult g h t (g' t) (h' t)); auto. intros; apply Rmult_comm.
  - congruence.
  - rewrite <- Eg, <- Eh in *.
    replace (d2 * h x + 2 * g' x * h' x + g x * e2) with (plus (d2 * h x + g' x * h' x) (g' x * h' x + g x * e2))
      by (unfold plus; simpl; ring).
    apply @is_derive_plus.
    + apply (is_derive_mult g' h x d2 (h' x)); auto. intros; apply Rmult_comm.
    + apply (is_derive_mult g h' x (g' x) e2); auto. intros; apply Rmult_comm.
Qed.

Lemma jet_comp : forall h g x d1 d2 e1 e2, jet h (g x) e1 e2 -> jet g x d1 d2 ->
  jet (fun t => h (g t)) x (d1 * e1) (d2 * e1 + d1 * (d1 * e2)).
Proof.
  intros h g x d1 d2 e1 e2 (h' & Lh & Eh & Dh) Jg. assert (Fg := jet_first _ _ _ _ Jg).
  destruct Jg as (g' & Lg & Eg & Dg).
  exists (fun t => g' t * h' (g t)). split; [|split].
  - assert (C : continuous g x) by (apply @ex_derive_continuous; exists d1; auto).
    assert (L : locally x (fun t => is_derive h (g t) (h' (g t)))) by exact (C (fun y => is_derive h y (h' y)) Lh).
    apply filter_imp with (2 := filter_and _ _ Lg L). intros t [H1 H2].
    apply (is_derive_comp h g t (h' (g t)) (g' t)); auto.
  - congruence.
  - rewrite <- Eg, <- Eh in *.
    apply (is_derive_mult g' (fun t => h' (g t)) x d2 (g' x * e2)); auto.
    + apply (is_derive_comp h' g x e2 (g' x)); auto.
    + intros; apply Rmult_comm.
Qed.

Lemma jet_sum : forall {A : Type} (l : list A) (g : A -> R -> R) x (d1 d2 : A -> R),
  (forall a, In a l -> jet (g a) x (d1 a) (d2 a)) -> jet (fun t => Sum l (fun a => g a t)) x (Sum l d1) (Sum l d2).
Proof.
  induction l; simpl; intros; [apply jet_const|]. apply jet_plus; auto.
Qed.

Lemma jet_square : forall x, jet (fun t => t ^ 2) x (2 * x) 2.
Proof.
  intros. exists (fun t => 2 * t). split; [|split; [reflexivity|]].
  - apply filter_forall. intros. auto_derive; auto. ring.
  - auto_derive; auto. ring.
Qed.

(* 1 / sqrt, where it is one. *)
Lemma jet_inv_sqrt : forall x, 0 < x -> exists d1 d2, jet (fun t => / sqrt t) x d1 d2.
Proof.
  intros x P. eexists; eexists. exists (fun t => - / (2 * sqrt t ^ 3)). split; [|split; [reflexivity|]].
  - assert (L : locally x (fun t => 0 < t)).
    { exists (mkposreal x P). intros t B. unfold ball, AbsRing_ball, abs, minus, plus, opp in B; simpl in B.
      unfold AbsRing_ball, abs, minus, plus, opp in B; simpl in B.
      apply Rabs_def2 in B. lra. }
    apply filter_imp with (2 := L). intros t T. assert (S := sqrt_lt_R0 t T).
    auto_derive; [repeat split; auto; lra|]. field. lra.
  - apply Derive_correct. assert (S := sqrt_lt_R0 x P). auto_derive. repeat split; auto.
    assert (0 < sqrt x ^ 3) by (apply pow_lt; auto). lra.
Qed.
End Jets.

(* --- functions of parameters ---------------------------------------------------------------------------------------------- *)

Class Indexed (A : Type) := same : forall p q : A, {p = q} + {p <> q}.

Section Parameters.
Context {A : Type} `{Indexed A}.
Implicit Types (theta : A -> R) (g : (A -> R) -> R) (params : list A).

(* theta with the value t in place p. *)
Definition update theta (p : A) (t : R) : A -> R := fun q => if same q p then t else theta q.
Definition along g theta p : R -> R := fun t => g (update theta p t).
Definition partial g theta p : R := Derive (along g theta p) (theta p).
Definition second g theta p : R := Derive_n (along g theta p) 2 (theta p).

Definition twice_differentiable params g theta : Prop :=
  forall p, In p params -> exists d1 d2, jet (along g theta p) (theta p) d1 d2.

(* || grad g ||^2 and Tr Hess g. *)
Definition squared_gradient params g theta : R := Sum params (fun p => partial g theta p ^ 2).
Definition trace params g theta : R := Sum params (fun p => second g theta p).

Lemma update_self : forall theta p, update theta p (theta p) = theta.
Proof. intros. apply functional_extensionality. intro q. unfold update. destruct (same q p); congruence. Qed.

Lemma update_at : forall theta p t, update theta p t p = t.
Proof. intros. unfold update. destruct (same p p); congruence. Qed.

Lemma update_other : forall theta p t q, q <> p -> update theta p t q = theta q.
Proof. intros. unfold update. destruct (same q p); congruence. Qed.

Lemma along_self : forall g theta p, along g theta p (theta p) = g theta.
Proof. intros. unfold along. rewrite update_self. auto. Qed.

(* A model, the samples (x_i, y_i), the mean of (f(x_i) - y_i)^2, and f(x_i) = y_i for all i. *)
Context {X : Type}.
Implicit Types (f : (A -> R) -> X -> R) (data : list (X * R)).

Definition mse f data theta : R := / INR (length data) * Sum data (fun s => (f theta (fst s) - snd s) ^ 2).
Definition interpolates f data theta : Prop := forall s, In s data -> f theta (fst s) = snd s.
Definition smooth_on params f data theta : Prop :=
  forall s, In s data -> twice_differentiable params (fun th => f th (fst s)) theta.

(* wen2023/lemma-4.1, for one parameter: the residual's term vanishes where f = y. *)
Theorem second_derivative_of_a_square : forall (u : R -> R) (t y d1 d2 : R),
  jet u t d1 d2 -> Derive_n (fun s => (u s - y) ^ 2) 2 t = 2 * d1 ^ 2 + 2 * (u t - y) * d2.
Proof.
  intros u t y d1 d2 J. apply jet_second with (2 * (u t - y) * d1).
  assert (K : jet (fun s => u s - y) t d1 d2).
  { apply jet_eq with (d1 + 0) (d2 + 0); try ring. apply jet_ext with (fun s => u s + - y); [intros; ring|].
    apply jet_plus; auto. apply jet_const. }
  assert (Q := jet_comp (fun v => v ^ 2) (fun s => u s - y) t d1 d2 _ _ (jet_square _) K).
  eapply jet_eq; [| |exact Q]; ring.
Qed.

Lemma jet_mse : forall params f data theta, smooth_on params f data theta -> forall p, In p params ->
  exists d1, jet (along (mse f data) theta p) (theta p) d1
    (/ INR (length data) * Sum data (fun s => 2 * partial (fun th => f th (fst s)) theta p ^ 2
       + 2 * (f theta (fst s) - snd s) * second (fun th => f th (fst s)) theta p)).
Proof.
  intros params f data theta S p P. unfold along, mse.
  eexists. apply jet_scal. apply (jet_sum data (fun s t => (f (update theta p t) (fst s) - snd s) ^ 2) (theta p)
    (fun s => 2 * (f theta (fst s) - snd s) * partial (fun th => f th (fst s)) theta p)).
  intros s I. destruct (S s I p P) as (d1 & d2 & J).
  assert (E1 := jet_derive _ _ _ _ J). assert (E2 := jet_second _ _ _ _ J).
  unfold partial, second. rewrite E1, E2.
  set (u := along (fun th => f th (fst s)) theta p) in *.
  assert (K : jet (fun t => u t - snd s) (theta p) d1 d2).
  { apply jet_eq with (d1 + 0) (d2 + 0); try ring. apply jet_ext with (fun t => u t + - snd s); [intros; ring|].
    apply jet_plus; auto. apply jet_const. }
  assert (Q := jet_comp (fun v => v ^ 2) _ _ d1 d2 _ _ (jet_square _) K).
  assert (U : u (theta p) = f theta (fst s)) by (apply (along_self (fun th => f th (fst s)))).
  eapply jet_eq; [| |exact Q]; cbv beta; rewrite ?U; ring.
Qed.

(* wen2023/lemma-4.1: at interpolation Tr Hess L = (2/n) sum_i || grad f(x_i) ||^2. *)
Theorem trace_at_interpolation : forall params f data theta,
  smooth_on params f data theta -> interpolates f data theta ->
  trace params (mse f data) theta
  = 2 / INR (length data) * Sum data (fun s => squared_gradient params (fun th => f th (fst s)) theta).
Proof.
  intros params f data theta S I. unfold trace, squared_gradient.
  rewrite sum_swap. rewrite <- sum_scal. apply sum_ext. intros p P.
  destruct (jet_mse _ _ _ _ S p P) as (d1 & J). unfold second at 1. rewrite (jet_second _ _ _ _ J).
  rewrite (sum_ext data _ (fun s => 2 * partial (fun th => f th (fst s)) theta p ^ 2)).
  - rewrite sum_scal. unfold Rdiv. ring.
  - intros s Is. rewrite (I s Is). ring.
Qed.

(* The same, where f is twice differentiable, off interpolation. *)
Theorem trace_of_the_loss : forall params f data theta,
  smooth_on params f data theta ->
  trace params (mse f data) theta
  = 2 / INR (length data) * Sum data (fun s => squared_gradient params (fun th => f th (fst s)) theta
      + (f theta (fst s) - snd s) * trace params (fun th => f th (fst s)) theta).
Proof.
  intros params f data theta S. unfold trace, squared_gradient.
  rewrite (sum_ext data _ (fun s => Sum params (fun p => partial (fun th => f th (fst s)) theta p ^ 2
      + (f theta (fst s) - snd s) * second (fun th => f th (fst s)) theta p))).
  2: { intros s _. rewrite sum_plus, sum_scal. auto. }
  rewrite sum_swap. rewrite <- sum_scal. apply sum_ext. intros p P.
  destruct (jet_mse _ _ _ _ S p P) as (d1 & J). unfold second at 1. rewrite (jet_second _ _ _ _ J).
  rewrite (sum_ext data (fun s => 2 * _ ^ 2 + _) (fun s => 2 * (partial (fun th => f th (fst s)) theta p ^ 2
      + (f theta (fst s) - snd s) * second (fun th => f th (fst s)) theta p))).
  - rewrite sum_scal. unfold Rdiv. ring.
  - intros s Is. ring.
Qed.
End Parameters.
