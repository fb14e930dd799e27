(* Owns the counterexample to wen2023/theorem-3.2 (and lemma A.2): at any excess trace a simplified BatchNorm network that interpolates a
   complete training set misclassifies an unseen point, whatever the tails S and the point. Lemma A.1's four neurons and two more, which see
   one training point alone, cancel on the training set, and differ by as much as one likes at the unseen point. *)
From Coq Require Import Reals List Lra Lia Psatz Arith FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Flatproof Require Import Sums Calculus Networks TwoLayer Inequalities Parity BatchNorm.
Import ListNotations.
Open Scope R_scope.

(* Coordinates behind the head. *)
Definition tail (k : nat) (v : R) : R := match k with 0 | 1 => 0 | _ => v end.
Definition same_tail (d : nat) (s t : point) : Prop := forall k, (2 <= k < d)%nat -> s k = t k.

Lemma in_complete : forall d tails x, In x (inputs d (complete tails)) ->
  exists s p q, In s tails /\ (p = 1 \/ p = - 1) /\ (q = 1 \/ q = - 1) /\ x = with_one d (with_head p q s).
Proof.
  intros d tails x I. unfold inputs, primed in I. rewrite map_map in I. apply in_map_iff in I. destruct I as (e & <- & I).
  unfold complete in I. apply in_flat_map in I. destruct I as (s & Is & F).
  destruct F as [<-|[<-|[<-|[<-|[]]]]]; cbn [fst snd]; do 3 eexists; (split; [exact Is|]);
  (split; [|split; [|reflexivity]]); auto.
Qed.

Lemma primed_complete : forall d tails e, In e (primed d (complete tails)) ->
  exists s p q, In s tails /\ (p = 1 \/ p = - 1) /\ (q = 1 \/ q = - 1) /\ fst e = with_one d (with_head p q s) /\ snd e = p * q.
Proof.
  intros d tails e I. unfold primed in I. apply in_map_iff in I. destruct I as (e' & <- & I).
  unfold complete in I. apply in_flat_map in I. destruct I as (s & Is & F).
  destruct F as [<-|[<-|[<-|[<-|[]]]]]; cbn [fst snd]; do 3 eexists; (split; [exact Is|]);
  (split; [|split; [|split; [reflexivity|]]]); auto; ring.
Qed.

Lemma with_head_in : forall d tails s p q, In s tails -> (p = 1 \/ p = - 1) -> (q = 1 \/ q = - 1) ->
  In (with_one d (with_head p q s)) (inputs d (complete tails)).
Proof.
  intros d tails s p q Is Hp Hq. unfold inputs, primed. rewrite map_map. apply in_map_iff.
  exists (with_head p q s, p * q). split; auto. unfold complete. apply in_flat_map. exists s. split; auto.
  unfold four. destruct Hp as [->| ->], Hq as [->| ->]; simpl.
  - left. f_equal. ring.
  - right. left. f_equal. ring.
  - right. right. left. f_equal. ring.
  - right. right. right. left. f_equal. ring.
Qed.

Lemma with_head_on_cube : forall d p q s, (p = 1 \/ p = - 1) -> (q = 1 \/ q = - 1) -> on_cube d s -> on_cube d (with_head p q s).
Proof. intros d p q s Hp Hq C [|[|k]] K; simpl; auto. Qed.

Lemma least_of : forall {A} (l : list A) (g : A -> R), l <> [] -> exists a, In a l /\ forall b, In b l -> g a <= g b.
Proof.
  induction l as [|a l IH]; intros g N; [congruence|]. destruct l as [|b l].
  - exists a. split; [left; auto|]. intros b [<-|[]]. lra.
  - destruct (IH g) as (c & Ic & L); [discriminate|]. destruct (Rle_dec (g a) (g c)) as [H|H].
    + exists a. split; [left; auto|]. intros e [<-|I]; [lra|]. specialize (L e I). lra.
    + exists c. split; [right; auto|]. intros e [<-|I]; [lra|auto].
Qed.

(* A sum of zeros and ones that is not 0 is at least 1. *)
Lemma sum_zero_one : forall {A} (l : list A) f, (forall a, In a l -> f a = 0 \/ f a = 1) -> Sum l f = 0 \/ 1 <= Sum l f.
Proof.
  induction l as [|a l IH]; intros f H; simpl; auto.
  destruct (H a (or_introl eq_refl)) as [->| ->], (IH f (fun b I => H b (or_intror I))) as [E|E]; try (left; lra); right; lra.
Qed.

Section Counterexample.
Variables (d : nat) (tails : list point) (t : point) (p q : R).
Hypothesis plane : (2 <= d)%nat.
Hypothesis some : tails <> [].
Hypothesis tails_cube : forall s, In s tails -> on_cube d s.
Hypothesis t_cube : on_cube d t.
Hypothesis unseen : forall s, In s tails -> ~ same_tail d s t.
Hypothesis hp : p = 1 \/ p = - 1.
Hypothesis hq : q = 1 \/ q = - 1.

(* In how many coordinates a tail differs from t. *)
Definition distance (s : point) : R := Sum (below d) (fun k => tail k ((1 - t k * s k) / 2)).

Variable s0 : point.
Hypothesis s0_in : In s0 tails.
Hypothesis nearest : forall s, In s tails -> distance s0 <= distance s.

Let agrees (k : nat) : bool := if Req_EM_T (t k) (s0 k) then true else false.
Let D := distance s0.
Let M := 4 * D + 8.

(* w.x + b of the neuron that sees (p, q, s0) alone, without eta. *)
Definition blind_weight (k : nat) : R := match k with 0 => M * p | 1 => M * q | _ => if agrees k then M * t k else t k end.
Definition blind_bias : R := - 2 * M + Sum (below d) (fun k => tail k (if agrees k then - M else 1)).
Definition tail_value (x : point) : R := Sum (below d) (fun k => tail k (if agrees k then M * (t k * x k - 1) else t k * x k + 1)).

Lemma blind_value : forall x, dot d blind_weight x + blind_bias = M * (p * x 0%nat + q * x 1%nat - 2) + tail_value x.
Proof.
  intros x. unfold blind_bias, tail_value.
  assert (E : dot d blind_weight x = M * (p * x 0%nat + q * x 1%nat) + Sum (below d) (fun k => tail k (if agrees k then M * t k * x k else t k * x k))).
  { rewrite Rmult_plus_distr_l, <- !Rmult_assoc, <- (dot_two d (M * p) (M * q)) by auto.
    unfold dot. rewrite <- sum_plus. apply sum_ext. intros k _. unfold blind_weight, tail.
    destruct k as [|[|k]]; try ring. destruct (agrees (S (S k))); ring. }
  rewrite E.
  rewrite (sum_ext (below d) (fun k => tail k (if agrees k then M * (t k * x k - 1) else t k * x k + 1))
    (fun k => tail k (if agrees k then M * t k * x k else t k * x k) + tail k (if agrees k then - M else 1))).
  - rewrite sum_plus. ring.
  - intros k _. unfold tail. destruct k as [|[|k]]; try ring. destruct (agrees (S (S k))); ring.
Qed.

Lemma sign_product : forall a b, (a = 1 \/ a = - 1) -> (b = 1 \/ b = - 1) -> (a * b = 1 /\ a = b) \/ (a * b = - 1 /\ a = - b).
Proof. intros a b [->| ->] [->| ->]; lra. Qed.

Lemma D_pos : 1 <= D.
Proof.
  assert (Z : forall k, In k (below d) -> tail k ((1 - t k * s0 k) / 2) = 0 \/ tail k ((1 - t k * s0 k) / 2) = 1).
  { intros k K. apply in_below in K. unfold tail. destruct k as [|[|k]]; auto.
    destruct (sign_product _ _ (t_cube _ K) (tails_cube s0 s0_in _ K)) as [[-> _]|[-> _]]; lra. }
  destruct (sum_zero_one _ _ Z) as [E|E]; [|exact E]. exfalso. apply (unseen s0 s0_in). intros k K.
  assert (N : forall k, In k (below d) -> 0 <= tail k ((1 - t k * s0 k) / 2)) by (intros i I; destruct (Z i I) as [-> | ->]; lra).
  pose proof (sum_nonneg_zero _ _ N E k (proj2 (in_below d k) (proj2 K))) as T. destruct k as [|[|k]]; try lia. cbn [tail] in T.
  destruct (sign_product _ _ (t_cube _ (proj2 K)) (tails_cube s0 s0_in _ (proj2 K))) as [[_ ->]|[X _]]; auto. rewrite X in T. lra.
Qed.

(* At the unseen point: 2 D. *)
Lemma at_unseen : dot d blind_weight (with_head p q t) + blind_bias = 2 * D.
Proof.
  rewrite blind_value. cbn [with_head]. replace (p * p + q * q - 2) with 0 by (destruct hp as [->| ->], hq as [->| ->]; ring).
  rewrite Rmult_0_r, Rplus_0_l. unfold tail_value, D, distance. rewrite <- sum_scal. apply sum_ext. intros k K. apply in_below in K.
  unfold tail. destruct k as [|[|k]]; try ring. cbn [with_head]. unfold agrees.
  assert (C := t_cube _ K). assert (C0 := tails_cube s0 s0_in _ K).
  destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [<-|N]; destruct C as [E|E]; destruct C0 as [E0|E0]; rewrite ?E, ?E0 in *; lra.
Qed.

(* At a training point: 0 at (p, q, s0), at most -1 elsewhere. *)
Lemma at_training : forall s p' q', In s tails -> (p' = 1 \/ p' = - 1) -> (q' = 1 \/ q' = - 1) ->
  let x := with_head p' q' s in
  (p' = p /\ q' = q /\ same_tail d s s0 /\ dot d blind_weight x + blind_bias = 0)
  \/ (~ (forall k, (k < d)%nat -> with_head p q s0 k = x k) /\ dot d blind_weight x + blind_bias <= - 1).
Proof.
  intros s p' q' Is Hp' Hq' x. rewrite blind_value.
  set (a := Sum (below d) (fun k => tail k (if agrees k then 0 else (1 + t k * s k) / 2))).
  set (b := Sum (below d) (fun k => tail k (if agrees k then (1 - t k * s k) / 2 else 0))).
  assert (Cs := tails_cube s Is). assert (C0 := tails_cube s0 s0_in).
  assert (T : tail_value x = 2 * a - 2 * M * b).
  { unfold tail_value, a, b. rewrite <- !sum_scal, <- sum_minus. apply sum_ext. intros k _. unfold tail.
    destruct k as [|[|k]]; try ring. unfold x. cbn [with_head]. destruct (agrees (S (S k))); field. }
  assert (Ba : distance s - D = b - a).
  { unfold D, distance, a, b. rewrite <- !sum_minus. apply sum_ext. intros k K. apply in_below in K. unfold tail.
    destruct k as [|[|k]]; try ring. unfold agrees. destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [E|N].
    - rewrite <- E. destruct (t_cube _ K) as [-> | ->]; field.
    - destruct (sign_product _ _ (t_cube _ K) (C0 _ K)) as [[_ X]|[-> _]]; [contradiction|]. field. }
  assert (Near := nearest s Is). fold D in Near.
  assert (Za : forall k, In k (below d) -> tail k (if agrees k then 0 else (1 + t k * s k) / 2) = 0 \/ tail k (if agrees k then 0 else (1 + t k * s k) / 2) = 1).
  { intros k K. apply in_below in K. unfold tail. destruct k as [|[|k]]; auto. destruct (agrees (S (S k))); auto.
    destruct (sign_product _ _ (t_cube _ K) (Cs _ K)) as [[-> _]|[-> _]]; lra. }
  assert (Zb : forall k, In k (below d) -> tail k (if agrees k then (1 - t k * s k) / 2 else 0) = 0 \/ tail k (if agrees k then (1 - t k * s k) / 2 else 0) = 1).
  { intros k K. apply in_below in K. unfold tail. destruct k as [|[|k]]; auto. destruct (agrees (S (S k))); auto.
    destruct (sign_product _ _ (t_cube _ K) (Cs _ K)) as [[-> _]|[-> _]]; lra. }
  assert (Na : forall k, In k (below d) -> 0 <= tail k (if agrees k then 0 else (1 + t k * s k) / 2)) by (intros k K; destruct (Za k K) as [-> | ->]; lra).
  assert (Nb : forall k, In k (below d) -> 0 <= tail k (if agrees k then (1 - t k * s k) / 2 else 0)) by (intros k K; destruct (Zb k K) as [-> | ->]; lra).
  assert (A0 : 0 <= a) by (apply sum_nonneg; auto). assert (B0 : 0 <= b) by (apply sum_nonneg; auto).
  assert (AD : a <= D).
  { unfold a, D, distance. apply sum_le. intros k K. apply in_below in K. unfold tail. destruct k as [|[|k]]; try lra. unfold agrees.
    destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [E|N].
    - rewrite <- E. destruct (t_cube _ K) as [-> | ->]; lra.
    - destruct (sign_product _ _ (t_cube _ K) (C0 _ K)) as [[_ X]|[-> _]]; [contradiction|].
      destruct (sign_product _ _ (t_cube _ K) (Cs _ K)) as [[-> _]|[-> _]]; lra. }
  assert (D1 := D_pos). assert (M8 : 12 <= M) by (unfold M; lra).
  rewrite T. unfold x. cbn [with_head].
  assert (Heads : (p' = p /\ q' = q) \/ (p * p' + q * q' <= 0 /\ (p' <> p \/ q' <> q))).
  { destruct hp as [->| ->], hq as [->| ->], Hp' as [->| ->], Hq' as [->| ->]; try (left; split; lra); right; (split; [lra|]); (left; lra) || (right; lra). }
  destruct Heads as [[-> ->]|[H N]].
  - replace (p * p + q * q - 2) with 0 by (destruct hp as [->| ->], hq as [->| ->]; ring).
    destruct (sum_zero_one _ _ Zb) as [E|E]; fold b in E.
    + left. assert (Ea : a = 0) by lra. split; [auto|split; [auto|split]].
      * intros k K. assert (Ik := proj2 (in_below d k) (proj2 K)).
        pose proof (sum_nonneg_zero _ _ Na Ea k Ik) as Ta. pose proof (sum_nonneg_zero _ _ Nb E k Ik) as Tb.
        destruct k as [|[|k]]; try lia. cbn [tail] in Ta, Tb. unfold agrees in Ta, Tb.
        destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [X|X].
        -- rewrite <- X. destruct (sign_product _ _ (t_cube _ (proj2 K)) (Cs _ (proj2 K))) as [[_ ->]|[Y _]]; auto. rewrite Y in Tb. lra.
        -- destruct (sign_product _ _ (t_cube _ (proj2 K)) (C0 _ (proj2 K))) as [[_ Y]|[_ Y]]; [contradiction|].
           destruct (sign_product _ _ (t_cube _ (proj2 K)) (Cs _ (proj2 K))) as [[Z _]|[_ Z]]; [rewrite Z in Ta; lra|lra].
      * rewrite Ea, E. ring.
    + right. split; [|nra]. intros H.
      assert (b = 0); [|lra]. apply sum_zero. intros k K. apply in_below in K. unfold tail. destruct k as [|[|k]]; auto. unfold agrees.
      destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [X|X]; auto. specialize (H _ K). cbn [with_head] in H. rewrite <- H, <- X.
      destruct (t_cube _ K) as [-> | ->]; field.
  - right. split.
    + intros G. pose proof (G 0%nat ltac:(lia)) as G0. pose proof (G 1%nat ltac:(lia)) as G1. cbn [with_head] in G0, G1. destruct N; congruence.
    + assert (M * (p * p' + q * q' - 2) <= M * - 2) by (apply Rmult_le_compat_l; lra).
      assert (0 <= M * b) by (apply Rmult_le_pos; lra). unfold M in *. nra.
Qed.

(* --- the network ------------------------------------------------------------------------------------------------------------------------ *)

Variables (c eta : R).
Hypothesis c_pos : 0 < c.
Hypothesis eta_small : 0 < eta < 1.

Let y := p * q.
Let x0 := with_head p q s0.

(* Lemma A.1's neurons 0..3; 4 sees x0 alone, and the unseen point; 5 sees x0 alone; further ones copy 0 and do not count. *)
Definition row (j k : nat) : R :=
  match j with
  | 4 => if (k =? d)%nat then blind_bias + eta else blind_weight k
  | 5 => if (k =? d)%nat then - INR d + eta else x0 k
  | 0 | 1 | 2 | 3 => head_weight d (first_sign j) (second_sign j) (- 1) k
  | _ => head_weight d (first_sign 0) (second_sign 0) (- 1) k
  end.
Definition barely_active (w : bn_parameter) : R :=
  match w with
  | W j k => row j k
  | Gain j => match j with 0 | 1 | 2 | 3 => sqrt (1 / 2) | 4 | 5 => sqrt c | _ => 0 end
  | Out j => match j with 0 | 1 | 2 | 3 => first_sign j * second_sign j * sqrt (1 / 2) | 4 => - y * sqrt c | 5 => y * sqrt c | _ => 0 end
  end.
Let theta := barely_active.
Let data := complete tails.
Let xs := inputs d data.

Lemma pre_head : forall j x, (j < 4)%nat \/ (6 <= j)%nat -> pre (S d) theta j (with_one d x)
  = (if (j <? 4)%nat then first_sign j else first_sign 0) * x 0%nat + (if (j <? 4)%nat then second_sign j else second_sign 0) * x 1%nat - 1.
Proof.
  intros j x J.
  assert (E : pre (S d) theta j (with_one d x) = dot (S d) (head_weight d (if (j <? 4)%nat then first_sign j else first_sign 0)
     (if (j <? 4)%nat then second_sign j else second_sign 0) (- 1)) (with_one d x)).
  { unfold pre, theta, barely_active. f_equal. apply functional_extensionality. intros k.
    destruct j as [|[|[|[|[|[|j]]]]]]; try lia; reflexivity. }
  rewrite E, head_preactivation by auto. ring.
Qed.

Lemma pre_blind : forall x, pre (S d) theta 4 (with_one d x) = dot d blind_weight x + blind_bias + eta.
Proof.
  intros x. unfold pre. rewrite dot_with_one. unfold theta, barely_active, row. rewrite Nat.eqb_refl, Rplus_assoc. f_equal.
  apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma pre_point : forall x, pre (S d) theta 5 (with_one d x) = dot d x0 x - INR d + eta.
Proof.
  intros x. unfold pre. rewrite dot_with_one. unfold theta, barely_active, row. rewrite Nat.eqb_refl.
  replace (dot d (fun k => if (k =? d)%nat then - INR d + eta else x0 k) x) with (dot d x0 x); [ring|].
  apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma x0_cube : on_cube d x0.
Proof. apply with_head_on_cube; auto. Qed.

(* The two see the same, eta at x0 and nothing elsewhere. *)
Lemma both : forall x, In x xs -> (pre (S d) theta 4 x = eta /\ pre (S d) theta 5 x = eta) \/ (pre (S d) theta 4 x < 0 /\ pre (S d) theta 5 x < 0).
Proof.
  intros x I. destruct (in_complete _ _ _ I) as (s & p' & q' & Is & Hp' & Hq' & ->).
  rewrite pre_blind, pre_point.
  assert (Cx : on_cube d (with_head p' q' s)) by (apply with_head_on_cube; auto).
  destruct (at_training s p' q' Is Hp' Hq') as [(-> & -> & Sm & V)|(N & V)].
  - left. split; [lra|]. replace (dot d x0 (with_head p q s)) with (INR d); [ring|].
    rewrite <- (squared_norm_cube d x0 x0_cube). apply sum_ext. intros k K. apply in_below in K.
    replace (with_head p q s k) with (x0 k); [ring|]. unfold x0. destruct k as [|[|k]]; auto. symmetry. apply Sm. lia.
  - right. split; [lra|]. pose proof (dot_cube_agree d x0 _ x0_cube Cx N). lra.
Qed.

Lemma relu_both : forall x, In x xs -> relu (pre (S d) theta 4 x) = relu (pre (S d) theta 5 x) /\ 0 <= relu (pre (S d) theta 4 x) <= eta.
Proof.
  intros x I. destruct (both x I) as [[-> ->]|[A B]].
  - rewrite relu_pos by lra. lra.
  - rewrite !relu_neg by lra. lra.
Qed.

Lemma length_pos : 0 < INR (length xs).
Proof.
  unfold xs. rewrite length_inputs. unfold data. rewrite length_complete.
  assert (0 < INR (length tails)) by (apply lt_0_INR; destruct tails; [congruence|simpl; lia]). lra.
Qed.

Lemma same_size : size (S d) xs theta 5 = size (S d) xs theta 4.
Proof.
  unfold size, mean_square_of. do 2 f_equal. apply sum_ext. intros x I. destruct (relu_both x I) as [-> _]. auto.
Qed.

Lemma blind_size : 0 < size (S d) xs theta 4 <= eta.
Proof.
  pose proof length_pos as Pn.
  assert (X0 : In (with_one d x0) xs) by (apply with_head_in; auto).
  assert (E0 : pre (S d) theta 4 (with_one d x0) = eta).
  { destruct (both _ X0) as [[E _]|[_ B]]; auto. exfalso. rewrite pre_point in B.
    replace (dot d x0 x0) with (INR d) in B; [lra|]. rewrite <- (squared_norm_cube d x0 x0_cube). apply sum_ext. intros. ring. }
  unfold size. split.
  - apply sqrt_lt_R0. unfold mean_square_of. apply Rmult_lt_0_compat; [apply Rinv_0_lt_compat; auto|].
    apply Rlt_le_trans with (relu (pre (S d) theta 4 (with_one d x0)) ^ 2).
    + rewrite E0, relu_pos by lra. apply pow_lt. lra.
    + apply (sum_term_le xs (fun x => relu (pre (S d) theta 4 x) ^ 2)); auto. intros. apply pow2_ge_0.
  - rewrite <- (sqrt_square eta) by lra. apply sqrt_le_1_alt. unfold mean_square_of.
    apply Rle_trans with (/ INR (length xs) * (INR (length xs) * (eta * eta))).
    + apply Rmult_le_compat_l; [left; apply Rinv_0_lt_compat; auto|]. rewrite <- sum_const. apply sum_le. intros x I.
      destruct (relu_both x I) as [_ B]. nra.
    + right. field. lra.
Qed.

Lemma head_size : forall j, (j < 4)%nat \/ (6 <= j)%nat -> size (S d) xs theta j = 1 / 2.
Proof.
  intros j J. assert (Pt : 0 < INR (length tails)) by (apply lt_0_INR; destruct tails; [congruence|simpl; lia]).
  unfold size, mean_square_of. unfold xs at 2. unfold data. rewrite sum_inputs_complete.
  rewrite (sum_ext _ _ (fun _ => 1)).
  - unfold xs. rewrite length_inputs. unfold data. rewrite length_complete, sum_const.
    replace (/ (4 * INR (length tails)) * (INR (length tails) * 1)) with (1 / 2 * (1 / 2)) by (field; lra). apply sqrt_square. lra.
  - intros s _. unfold four. cbn [Sum fst]. rewrite !pre_head by auto. cbn [with_head].
    set (i := if (j <? 4)%nat then j else 0%nat).
    replace (if (j <? 4)%nat then first_sign j else first_sign 0) with (first_sign i) by (unfold i; destruct (j <? 4)%nat; auto).
    replace (if (j <? 4)%nat then second_sign j else second_sign 0) with (second_sign i) by (unfold i; destruct (j <? 4)%nat; auto).
    destruct i as [|[|[|i]]]; cbn [first_sign second_sign]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
Qed.

Lemma barely_alive : forall m, alive m (S d) xs theta.
Proof.
  intros m j _. destruct (le_lt_dec 6 j) as [L|L]; [rewrite head_size; auto; lra|].
  destruct (le_lt_dec 4 j) as [L'|L']; [|rewrite head_size; auto; lra].
  assert (E : j = 4%nat \/ j = 5%nat) by lia. destruct E as [->| ->]; [|rewrite same_size]; apply blind_size.
Qed.

Lemma sum_six : forall m g, (6 <= m)%nat -> (forall j, (6 <= j)%nat -> g j = 0) -> Sum (below m) g = Sum (below 6) g.
Proof.
  intros m g L Z. induction L as [|m L IH]; auto. rewrite sum_below_S, IH, Z by lia. ring.
Qed.

Lemma root_half : sqrt (1 / 2) * sqrt (1 / 2) = 1 / 2.
Proof. apply sqrt_sqrt. lra. Qed.

Lemma root_c : sqrt c * sqrt c = c.
Proof. apply sqrt_sqrt. lra. Qed.

(* On the cube: the label, and what the two add. *)
Lemma barely_output : forall m x, (6 <= m)%nat -> on_cube d x -> batch_norm m (S d) xs theta (with_one d x)
  = label x + y * c * (relu (pre (S d) theta 5 (with_one d x)) - relu (pre (S d) theta 4 (with_one d x))) * / size (S d) xs theta 4.
Proof.
  intros m x L C. unfold batch_norm. rewrite sum_six; [|auto|].
  2: { intros j J. unfold theta, barely_active. destruct j as [|[|[|[|[|[|j]]]]]]; try lia. ring. }
  cbn [below seq Sum]. unfold normalized.
  rewrite (head_size 0), (head_size 1), (head_size 2), (head_size 3), same_size by lia.
  rewrite (pre_head 0), (pre_head 1), (pre_head 2), (pre_head 3) by lia.
  set (h4 := relu (pre (S d) theta 4 (with_one d x))). set (h5 := relu (pre (S d) theta 5 (with_one d x))). set (v := / size (S d) xs theta 4).
  unfold theta, barely_active. cbn [Nat.ltb Nat.leb first_sign second_sign].
  set (r := sqrt (1 / 2)). set (rc := sqrt c).
  assert (R : r * r = 1 / 2) by apply root_half. assert (Rc : rc * rc = c) by apply root_c.
  transitivity (r * r * / (1 / 2) * (relu (1 * x 0%nat + 1 * x 1%nat - 1) - relu (1 * x 0%nat + - 1 * x 1%nat - 1)
     - relu (- 1 * x 0%nat + 1 * x 1%nat - 1) + relu (- 1 * x 0%nat + - 1 * x 1%nat - 1)) + y * (rc * rc) * (h5 - h4) * v); [ring|].
  rewrite R, Rc. f_equal. unfold label.
  destruct (C 0%nat ltac:(lia)) as [-> | ->], (C 1%nat ltac:(lia)) as [-> | ->]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
Qed.

Lemma barely_fits : forall m, (6 <= m)%nat -> bn_fits m d theta data.
Proof.
  intros m L. split; [apply barely_alive|split].
  - apply bn_smooth; [apply barely_alive|]. intros j x J I.
    destruct (in_complete _ _ _ I) as (s & p' & q' & Is & Hp' & Hq' & ->).
    assert (Hd : (j < 4)%nat \/ (6 <= j)%nat -> pre (S d) theta j (with_one d (with_head p' q' s)) <> 0).
    { intros H. rewrite pre_head by auto. cbn [with_head].
      set (i := if (j <? 4)%nat then j else 0%nat).
      replace (if (j <? 4)%nat then first_sign j else first_sign 0) with (first_sign i) by (unfold i; destruct (j <? 4)%nat; auto).
      replace (if (j <? 4)%nat then second_sign j else second_sign 0) with (second_sign i) by (unfold i; destruct (j <? 4)%nat; auto).
      destruct Hp' as [->| ->], Hq' as [->| ->], i as [|[|[|i]]]; cbn [first_sign second_sign]; lra. }
    destruct (le_lt_dec 6 j) as [|L6]; [apply Hd; auto|]. destruct (le_lt_dec 4 j) as [L4|]; [|apply Hd; auto].
    assert (E : j = 4%nat \/ j = 5%nat) by lia. destruct (both _ I) as [[A B]|[A B]], E as [->| ->]; lra.
  - intros e Ie. destruct (primed_complete _ _ _ Ie) as (s & p' & q' & Is & Hp' & Hq' & -> & ->).
    unfold bn_model. fold data. fold xs. rewrite barely_output by (auto; apply with_head_on_cube; auto).
    destruct (relu_both (with_one d (with_head p' q' s))) as [-> _]; [apply with_head_in; auto|]. unfold label. cbn [with_head]. ring.
Qed.

Lemma barely_norms : forall m, (6 <= m)%nat -> norms m theta = 4 + 4 * c.
Proof.
  intros m L. unfold norms. rewrite sum_six; [|auto|].
  2: { intros j J. unfold theta, barely_active. destruct j as [|[|[|[|[|[|j]]]]]]; try lia. ring. }
  cbn [below seq Sum]. unfold theta, barely_active. cbn [first_sign second_sign].
  assert (R := root_half). assert (Rc := root_c). set (r := sqrt (1 / 2)) in *. set (rc := sqrt c) in *.
  assert (Y : y * y = 1) by (unfold y; destruct hp as [E1|E1], hq as [E2|E2]; rewrite E1, E2; ring).
  transitivity (8 * (r * r) + 2 * (rc * rc) * (y * y + 1)); [ring|]. rewrite R, Rc, Y. field.
Qed.

Lemma barely_wrong : forall m, (6 <= m)%nat -> eta <= c / 2 ->
  label (with_head p q t) * batch_norm m (S d) xs theta (with_one d (with_head p q t)) <= - 3.
Proof.
  intros m L E. assert (C : on_cube d (with_head p q t)) by (apply with_head_on_cube; auto).
  rewrite barely_output by auto. rewrite pre_blind, pre_point, at_unseen.
  assert (N : ~ (forall k, (k < d)%nat -> x0 k = with_head p q t k)).
  { intros H. apply (unseen s0 s0_in). intros k K. specialize (H k (proj2 K)). unfold x0 in H. destruct k as [|[|k]]; try lia. exact H. }
  pose proof (dot_cube_agree d x0 _ x0_cube C N) as Dt. pose proof D_pos as D1. pose proof blind_size as [S0 S1].
  rewrite (relu_neg (dot d x0 (with_head p q t) - INR d + eta)) by lra. rewrite relu_pos by lra.
  assert (Y : label (with_head p q t) = y) by reflexivity. rewrite Y.
  assert (Y2 : y * y = 1) by (unfold y; destruct hp as [E1|E1], hq as [E2|E2]; rewrite E1, E2; ring).
  set (v := / size (S d) xs theta 4).
  replace (y * (y + y * c * (0 - (2 * D + eta)) * v)) with (y * y * (1 - c * (2 * D + eta) * v)) by ring. rewrite Y2, Rmult_1_l.
  assert (V : / eta <= v) by (apply Rinv_le_contravar; lra).
  assert (Ie : 0 < / eta) by (apply Rinv_0_lt_compat; lra).
  assert (B : 4 <= c * 2 * / eta).
  { apply Rmult_le_reg_r with eta; [lra|]. rewrite Rmult_assoc, Rinv_l by lra. lra. }
  assert (c * 2 * / eta <= c * (2 * D + eta) * v); [|lra].
  apply Rmult_le_compat; try lra; nra.
Qed.
End Counterexample.

(* wen2023/theorem-3.2 fails: for every S, every unseen tail t, every head (p, q), every width from 6 on and every kappa > 0. *)
Theorem every_unseen_point : forall d tails t p q m kappa, (2 <= d)%nat -> tails <> [] -> (forall s, In s tails -> on_cube d s) -> on_cube d t ->
  (forall s, In s tails -> ~ same_tail d s t) -> (p = 1 \/ p = - 1) -> (q = 1 \/ q = - 1) -> (6 <= m)%nat -> 0 < kappa ->
  let x := with_head p q t in
  exists theta, bn_fits m d theta (complete tails) /\ bn_sharpness m d theta (complete tails) <= 8 + kappa
    /\ norms m theta <= 4 + kappa
    /\ label x * bn_model m d (complete tails) theta (with_one d x) <= - 3
    /\ 4 <= Rabs (label x - bn_model m d (complete tails) theta (with_one d x))
    /\ (forall m' theta', bn_fits m' d theta' (complete tails) -> 8 <= bn_sharpness m' d theta' (complete tails) /\ 4 <= norms m' theta').
Proof.
  intros d tails t p q m kappa Dm NE Ct Cu Un Hp Hq Lm K x.
  destruct (least_of tails (distance d t) NE) as (s0 & I0 & Near).
  set (c := kappa / 16). assert (C0 : 0 < c) by (unfold c; lra).
  set (eta := Rmin (1 / 2) (c / 2)).
  assert (E1 : 0 < eta < 1).
  { split; [apply Rmin_glb_lt; lra|]. apply Rle_lt_trans with (1 / 2); [apply Rmin_l|lra]. }
  assert (E2 : eta <= c / 2) by apply Rmin_r.
  assert (F := barely_fits d tails t p q Dm NE Ct Cu Un Hp Hq s0 I0 Near c eta C0 E1 m Lm).
  assert (N : norms m (barely_active d t p q s0 c eta) = 4 + 4 * c) by (eapply barely_norms; eauto).
  assert (Wr : label x * batch_norm m (S d) (inputs d (complete tails)) (barely_active d t p q s0 c eta) (with_one d x) <= - 3).
  { eapply barely_wrong; eauto. }
  assert (NEc : complete tails <> []) by (destruct tails; [congruence|discriminate]).
  destruct (bn_near_bound m d _ (complete tails) (kappa / 2) NEc F) as (theta & F' & Sm & Nm & B); [lra|].
  exists theta. split; [exact F'|]. split; [rewrite N in B; unfold c in B; lra|].
  split; [rewrite Nm, N; unfold c; lra|].
  assert (V : label x * bn_model m d (complete tails) theta (with_one d x) <= - 3) by (rewrite Sm; exact Wr).
  split; [exact V|]. split.
  - assert (C : on_cube d x) by (apply with_head_on_cube; auto).
    destruct (label_cube d x Dm C) as [L|L]; rewrite L in *; [rewrite Rabs_pos_eq|rewrite Rabs_left]; lra.
  - intros m' theta' F''. split; [apply bn_least_trace; auto|]. apply (least_path m' d tails theta'); auto.
Qed.

(* condition 1: the differences of the tails span. *)
Definition spans (d : nat) (tails : list point) : Prop := forall v : point,
  (forall s s', In s tails -> In s' tails -> Sum (below d) (fun k => tail k (v k * (s k - s' k))) = 0) ->
  forall k, (2 <= k < d)%nat -> v k = 0.

(* An instance: d = 4, S = {(1, 1), (1, -1), (-1, 1)}, the unseen tail (-1, -1): theorem 3.2 as printed is false. *)
Theorem printed_theorem_refuted : exists d tails t m, spans d tails /\ (forall s, In s tails -> on_cube d s) /\ on_cube d t /\
  forall kappa, 0 < kappa -> exists theta, bn_fits m d theta (complete tails)
    /\ (forall theta', bn_fits m d theta' (complete tails) -> bn_sharpness m d theta (complete tails) <= bn_sharpness m d theta' (complete tails) + kappa)
    /\ 4 <= Rabs (label (with_head 1 1 t) - bn_model m d (complete tails) theta (with_one d (with_head 1 1 t))).
Proof.
  set (v := fun a b : R => fun k => match k with 2 => a | 3 => b | _ => 1 end).
  exists 4%nat, [v 1 1; v 1 (- 1); v (- 1) 1], (v (- 1) (- 1)), 6%nat.
  assert (Cv : forall a b, (a = 1 \/ a = - 1) -> (b = 1 \/ b = - 1) -> on_cube 4 (v a b)).
  { intros a b Ha Hb k K. unfold v. destruct k as [|[|[|[|k]]]]; auto. }
  assert (Ct : forall s, In s [v 1 1; v 1 (- 1); v (- 1) 1] -> on_cube 4 s).
  { intros s [<-|[<-|[<-|[]]]]; apply Cv; auto. }
  split; [|split; [exact Ct|split; [apply Cv; auto|]]].
  - intros u H k K.
    pose proof (H (v 1 1) (v 1 (- 1)) ltac:(simpl; auto) ltac:(simpl; auto)) as H1.
    pose proof (H (v 1 1) (v (- 1) 1) ltac:(simpl; auto) ltac:(simpl; auto)) as H2.
    unfold v, tail in H1, H2. cbn [below seq Sum] in H1, H2. destruct k as [|[|[|[|k]]]]; try lia; lra.
  - intros kappa K.
    destruct (every_unseen_point 4 [v 1 1; v 1 (- 1); v (- 1) 1] (v (- 1) (- 1)) 1 1 6 kappa) as (theta & F & B & _ & _ & A & L); auto.
    + discriminate.
    + intros s [<-|[<-|[<-|[]]]] Sm; pose proof (Sm 2%nat ltac:(lia)); pose proof (Sm 3%nat ltac:(lia)); unfold v in *; lra.
    + exists theta. split; [exact F|]. split; [|exact A]. intros theta' F'. destruct (L 6%nat theta' F') as [L8 _]. lra.
Qed.
