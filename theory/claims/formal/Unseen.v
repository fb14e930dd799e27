(* Owns the counterexample to wen2023/theorem-3.2, lemma A.2 and table 1's entry for simplified BatchNorm: at any excess trace a network that
   interpolates a complete training set misclassifies any unseen points, whatever the tails S; all of them at once too. Lemma A.1's four neurons
   and two more for each unseen point, which see one training point alone, cancel on the training set, and differ by as much as one likes
   at the unseen point. At width 5 one more neuron does it for an S. *)
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

Section Blind.
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

(* At another head it is far below 0. *)
Lemma at_other_head : forall x, on_cube d x -> x 0%nat <> p \/ x 1%nat <> q -> dot d blind_weight x + blind_bias <= - 1.
Proof.
  intros x C N. rewrite blind_value.
  assert (T : tail_value x <= 2 * D).
  { unfold tail_value, D, distance. rewrite <- sum_scal. apply sum_le. intros k K. apply in_below in K. unfold tail.
    destruct k as [|[|k]]; try lra. unfold agrees. assert (M8 : 0 <= M) by (unfold M; pose proof D_pos; lra).
    destruct (Req_EM_T (t (S (S k))) (s0 (S (S k)))) as [E|E].
    - rewrite <- E. destruct (t_cube _ K) as [-> | ->], (C _ K) as [-> | ->]; nra.
    - destruct (sign_product _ _ (t_cube _ K) (tails_cube s0 s0_in _ K)) as [[_ X]|[-> _]]; [contradiction|].
      destruct (sign_product _ _ (t_cube _ K) (C _ K)) as [[-> _]|[-> _]]; lra. }
  assert (H : p * x 0%nat + q * x 1%nat - 2 <= - 2).
  { destruct hp as [E1|E1], hq as [E2|E2], (C 0%nat ltac:(lia)) as [E3|E3], (C 1%nat ltac:(lia)) as [E4|E4]; rewrite ?E1, ?E2, ?E3, ?E4 in *;
    destruct N; try lra; congruence. }
  pose proof D_pos as D1. assert (M * (p * x 0%nat + q * x 1%nat - 2) <= M * - 2) by (apply Rmult_le_compat_l; unfold M; lra). unfold M in *. lra.
Qed.
End Blind.

(* --- the network: a pair for each unseen point of a list ----------------------------------------------------------------------------------- *)

(* An unseen point, of tail `far` and head (h1, h2), and the nearest tail of S. *)
Record spot := Spot { far : point; h1 : R; h2 : R; close : point }.

Section Network.
Variables (d : nat) (tails : list point) (spots : list spot).
Hypothesis plane : (2 <= d)%nat.
Hypothesis some : tails <> [].
Hypothesis tails_cube : forall s, In s tails -> on_cube d s.
Hypothesis spots_cube : forall u, In u spots -> on_cube d (far u).
Hypothesis spots_head : forall u, In u spots -> (h1 u = 1 \/ h1 u = - 1) /\ (h2 u = 1 \/ h2 u = - 1).
Hypothesis spots_unseen : forall u s, In u spots -> In s tails -> ~ same_tail d s (far u).
Hypothesis close_in : forall u, In u spots -> In (close u) tails.
Hypothesis close_nearest : forall u s, In u spots -> In s tails -> distance d (far u) (close u) <= distance d (far u) s.

Variables (c eta : R).
Hypothesis c_pos : 0 < c.
Hypothesis eta_small : 0 < eta < 1.

Let y (u : spot) := h1 u * h2 u.
Let x0 (u : spot) := with_head (h1 u) (h2 u) (close u).
Let target (u : spot) := with_head (h1 u) (h2 u) (far u).

(* What the two of a pair see: both x0 alone of the training set; the first the unseen point too. *)
Definition blind (u : spot) (x : point) : R :=
  dot d (blind_weight d (far u) (h1 u) (h2 u) (close u)) x + blind_bias d (far u) (close u).
Definition pointed (u : spot) (x : point) : R := dot d (x0 u) x - INR d.

(* Lemma A.1's neurons 0..3; 4 + 2i and 5 + 2i are a pair; further ones copy 0 and do not count. *)
Definition barely_active (w : bn_parameter) : R :=
  match w with
  | W (S (S (S (S i)))) k =>
      match nth_error spots (Nat.div2 i) with
      | Some u => if Nat.even i then (if (k =? d)%nat then blind_bias d (far u) (close u) + eta else blind_weight d (far u) (h1 u) (h2 u) (close u) k)
                  else (if (k =? d)%nat then - INR d + eta else x0 u k)
      | None => head_weight d 1 1 (- 1) k
      end
  | W j k => head_weight d (first_sign j) (second_sign j) (- 1) k
  | Gain (S (S (S (S i)))) => match nth_error spots (Nat.div2 i) with Some _ => sqrt c | None => 0 end
  | Gain _ => sqrt (1 / 2)
  | Out (S (S (S (S i)))) =>
      match nth_error spots (Nat.div2 i) with Some u => if Nat.even i then - y u * sqrt c else y u * sqrt c | None => 0 end
  | Out j => first_sign j * second_sign j * sqrt (1 / 2)
  end.
Let theta := barely_active.
Let data := complete tails.
Let xs := inputs d data.

Lemma div2_even : forall i, Nat.div2 (2 * i) = i /\ Nat.even (2 * i) = true.
Proof. intros i. split; [apply Nat.div2_double|apply Nat.even_spec; exists i; auto]. Qed.

Lemma div2_odd : forall i, Nat.div2 (S (2 * i)) = i /\ Nat.even (S (2 * i)) = false.
Proof.
  intros i. split; [apply Nat.div2_succ_double|]. rewrite Nat.even_succ. rewrite <- Nat.negb_even. destruct (div2_even i) as [_ ->]. auto.
Qed.

Lemma pre_four : forall j x, (j < 4)%nat ->
  pre (S d) theta j (with_one d x) = first_sign j * x 0%nat + second_sign j * x 1%nat - 1.
Proof.
  intros j x J. transitivity (dot (S d) (head_weight d (first_sign j) (second_sign j) (- 1)) (with_one d x)); [|rewrite head_preactivation by auto; ring].
  destruct j as [|[|[|[|j]]]]; try lia; reflexivity.
Qed.

Lemma pre_blind : forall i u x, nth_error spots (Nat.div2 i) = Some u -> Nat.even i = true ->
  pre (S d) theta (S (S (S (S i)))) (with_one d x) = blind u x + eta.
Proof.
  intros i u x N E. unfold pre. rewrite dot_with_one. unfold theta, barely_active, blind. rewrite N, E, Nat.eqb_refl, Rplus_assoc. f_equal.
  apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma pre_point : forall i u x, nth_error spots (Nat.div2 i) = Some u -> Nat.even i = false ->
  pre (S d) theta (S (S (S (S i)))) (with_one d x) = pointed u x + eta.
Proof.
  intros i u x N E. unfold pre. rewrite dot_with_one. unfold theta, barely_active, pointed. rewrite N, E, Nat.eqb_refl.
  replace (dot d (fun k => if (k =? d)%nat then - INR d + eta else x0 u k) x) with (dot d (x0 u) x); [ring|].
  apply sum_ext. intros k K. apply in_below in K. destruct (Nat.eqb_spec k d); [lia|auto].
Qed.

Lemma pre_copy : forall i x, nth_error spots (Nat.div2 i) = None ->
  pre (S d) theta (S (S (S (S i)))) (with_one d x) = 1 * x 0%nat + 1 * x 1%nat - 1.
Proof.
  intros i x N. transitivity (dot (S d) (head_weight d 1 1 (- 1)) (with_one d x)); [|rewrite head_preactivation by auto; ring].
  unfold pre, theta, barely_active. rewrite N. auto.
Qed.

(* A neuron is one of the four heads, or of a pair. *)
Lemma kinds : forall j, (exists h, (h < 4)%nat /\ forall x, pre (S d) theta j (with_one d x) = first_sign h * x 0%nat + second_sign h * x 1%nat - 1)
  \/ exists u, In u spots /\ ((forall x, pre (S d) theta j (with_one d x) = blind u x + eta) \/ forall x, pre (S d) theta j (with_one d x) = pointed u x + eta).
Proof.
  intros j. destruct (le_lt_dec 4 j) as [L|L]; [|left; exists j; split; auto; intros; apply pre_four; auto].
  destruct j as [|[|[|[|i]]]]; try lia. destruct (nth_error spots (Nat.div2 i)) as [u|] eqn:N.
  - right. exists u. split; [eapply nth_error_In; eauto|]. destruct (Nat.even i) eqn:E; [left|right]; intros x; [apply pre_blind|apply pre_point]; auto.
  - left. exists 0%nat. split; [lia|]. intros x. rewrite pre_copy by auto. reflexivity.
Qed.

Lemma x0_cube : forall u, In u spots -> on_cube d (x0 u).
Proof. intros u I. destruct (spots_head u I). apply with_head_on_cube; auto. Qed.

(* Both see the same: eta at x0 and nothing elsewhere. *)
Lemma both : forall u x, In u spots -> In (with_one d x) xs -> on_cube d x ->
  (blind u x + eta = eta /\ pointed u x + eta = eta) \/ (blind u x + eta < 0 /\ pointed u x + eta < 0).
Proof.
  intros u x Iu I _. destruct (in_complete _ _ _ I) as (s & p & q & Is & Hp & Hq & E).
  assert (Same : forall k, (k < d)%nat -> x k = with_head p q s k).
  { intros k K. apply (f_equal (fun f => f k)) in E. unfold with_one in E. destruct (Nat.eqb_spec k d); [lia|auto]. }
  assert (Dot : forall w, dot d w x = dot d w (with_head p q s)).
  { intros w. apply sum_ext. intros k K. apply in_below in K. rewrite Same by auto. auto. }
  unfold blind, pointed. rewrite !Dot. destruct (spots_head u Iu) as [Hp' Hq'].
  assert (Cx : on_cube d (with_head p q s)) by (apply with_head_on_cube; auto).
  destruct (at_training d tails (far u) (h1 u) (h2 u) plane tails_cube (spots_cube u Iu) (fun s => spots_unseen u s Iu) Hp' Hq' (close u)
    (close_in u Iu) (fun s => close_nearest u s Iu) s p q Is Hp Hq) as [(-> & -> & Sm & V)|(N & V)].
  - left. split; [lra|]. replace (dot d (x0 u) (with_head (h1 u) (h2 u) s)) with (INR d); [ring|].
    rewrite <- (squared_norm_cube d (x0 u) (x0_cube u Iu)). apply sum_ext. intros k K. apply in_below in K.
    replace (with_head (h1 u) (h2 u) s k) with (x0 u k); [ring|]. unfold x0. destruct k as [|[|k]]; auto. symmetry. apply Sm. lia.
  - right. split; [lra|]. pose proof (dot_cube_agree d (x0 u) _ (x0_cube u Iu) Cx N). lra.
Qed.

Lemma training_point : forall x, In x xs -> exists x', x = with_one d x' /\ on_cube d x'.
Proof.
  intros x I. destruct (in_complete _ _ _ I) as (s & p & q & Is & Hp & Hq & ->). exists (with_head p q s). split; auto. apply with_head_on_cube; auto.
Qed.

Lemma tails_pos : 0 < INR (length tails).
Proof. apply lt_0_INR. destruct tails; [congruence|simpl; lia]. Qed.

Lemma length_pos : 0 < INR (length xs).
Proof. unfold xs. rewrite length_inputs. unfold data. rewrite length_complete. pose proof tails_pos. lra. Qed.

(* The size of what one of a pair sees. *)
Definition spot_size (u : spot) : R := sqrt (/ INR (length xs) * Sum xs (fun x => relu (blind u x + eta) ^ 2)).

Lemma dot_same : forall w x, dot d w (with_one d x) = dot d w x.
Proof. intros w x. apply sum_ext. intros k K. apply in_below in K. unfold with_one. destruct (Nat.eqb_spec k d); [lia|auto]. Qed.

Lemma blind_same : forall u x, blind u (with_one d x) = blind u x.
Proof. intros. unfold blind. rewrite dot_same. auto. Qed.

Lemma pair_size : forall j u, In u spots ->
  (forall x, pre (S d) theta j (with_one d x) = blind u x + eta) \/ (forall x, pre (S d) theta j (with_one d x) = pointed u x + eta) ->
  size (S d) xs theta j = spot_size u.
Proof.
  intros j u Iu H. unfold size, mean_square_of, spot_size. do 2 f_equal. apply sum_ext. intros x I.
  destruct (training_point x I) as (x' & -> & C). rewrite blind_same. f_equal.
  destruct H as [-> | ->]; auto. destruct (both u x' Iu I C) as [[-> ->]|[A B]]; auto. rewrite !relu_neg; lra.
Qed.

Lemma spot_size_bounds : forall u, In u spots -> 0 < spot_size u <= eta.
Proof.
  intros u Iu. pose proof length_pos as Pn. destruct (spots_head u Iu) as [Hp Hq].
  assert (Range : forall x, In x xs -> 0 <= relu (blind u x + eta) <= eta).
  { intros x I. destruct (training_point x I) as (x' & -> & C). rewrite blind_same.
    destruct (both u x' Iu I C) as [[-> _]|[A _]]; [rewrite relu_pos by lra; lra|rewrite relu_neg by lra; lra]. }
  assert (X0 : In (with_one d (x0 u)) xs) by (apply with_head_in; auto).
  assert (E0 : blind u (with_one d (x0 u)) + eta = eta).
  { rewrite blind_same. destruct (both u (x0 u) Iu X0 (x0_cube u Iu)) as [[E _]|[_ B]]; auto. exfalso. unfold pointed in B.
    replace (dot d (x0 u) (x0 u)) with (INR d) in B; [lra|]. rewrite <- (squared_norm_cube d (x0 u) (x0_cube u Iu)). apply sum_ext. intros. ring. }
  unfold spot_size. split.
  - apply sqrt_lt_R0. apply Rmult_lt_0_compat; [apply Rinv_0_lt_compat; auto|].
    apply Rlt_le_trans with (relu (blind u (with_one d (x0 u)) + eta) ^ 2).
    + rewrite E0, relu_pos by lra. apply pow_lt. lra.
    + apply (sum_term_le xs (fun x => relu (blind u x + eta) ^ 2)); auto. intros. apply pow2_ge_0.
  - apply Rle_trans with (sqrt (eta * eta)); [apply sqrt_le_1_alt|rewrite sqrt_square; lra].
    apply Rle_trans with (/ INR (length xs) * (INR (length xs) * (eta * eta))).
    + apply Rmult_le_compat_l; [left; apply Rinv_0_lt_compat; auto|]. rewrite <- sum_const. apply sum_le. intros x I.
      replace (eta * eta) with (eta ^ 2) by ring. apply pow_incr. apply Range. auto.
    + right. field. lra.
Qed.

Lemma head_size : forall j h, (h < 4)%nat -> (forall x, pre (S d) theta j (with_one d x) = first_sign h * x 0%nat + second_sign h * x 1%nat - 1) ->
  size (S d) xs theta j = 1 / 2.
Proof.
  intros j h L H. pose proof tails_pos as Pt. unfold size, mean_square_of. unfold xs at 2. unfold data. rewrite sum_inputs_complete.
  rewrite (sum_ext _ _ (fun _ => 1)).
  - unfold xs. rewrite length_inputs. unfold data. rewrite length_complete, sum_const.
    replace (/ (4 * INR (length tails)) * (INR (length tails) * 1)) with (1 / 2 * (1 / 2)) by (field; lra). apply sqrt_square. lra.
  - intros s _. unfold four. cbn [Sum fst]. rewrite !H. cbn [with_head].
    destruct h as [|[|[|h]]]; cbn [first_sign second_sign]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
Qed.

Lemma barely_alive : forall m, alive m (S d) xs theta.
Proof.
  intros m j _. destruct (kinds j) as [(h & L & H)|(u & I & H)].
  - rewrite (head_size j h L H). lra.
  - rewrite (pair_size j u I H). apply spot_size_bounds. auto.
Qed.

(* Sums over neurons: the four, the pairs, and what does not count. *)
Lemma sum_spots : forall (l : list spot) (h : spot -> R), Sum (below (length l)) (fun i => match nth_error l i with Some u => h u | None => 0 end) = Sum l h.
Proof.
  induction l as [|u l IH]; intros h; auto. cbn [length below seq Sum nth_error]. f_equal.
  rewrite <- (IH h). unfold below. rewrite <- seq_shift, sum_map. auto.
Qed.

Lemma sum_pairs : forall (g : nat -> R) n, Sum (below (4 + 2 * n)) g
  = Sum (below 4) g + Sum (below n) (fun i => g (4 + 2 * i)%nat + g (5 + 2 * i)%nat).
Proof.
  intros g. induction n as [|n IH]; [symmetry; apply Rplus_0_r|].
  replace (4 + 2 * S n)%nat with (S (S (4 + 2 * n))) by lia.
  rewrite (sum_below_S (S (4 + 2 * n))), (sum_below_S (4 + 2 * n)), (sum_below_S n), IH. change (S (4 + 2 * n)) with (5 + 2 * n)%nat. ring.
Qed.

Lemma sum_neurons : forall m (g : nat -> R) (h : spot -> R), (4 + 2 * length spots <= m)%nat ->
  (forall j, (4 + 2 * length spots <= j)%nat -> g j = 0) ->
  (forall i u, nth_error spots i = Some u -> g (4 + 2 * i)%nat + g (5 + 2 * i)%nat = h u) -> Sum (below m) g = Sum (below 4) g + Sum spots h.
Proof.
  intros m g h L Z P.
  assert (E : Sum (below m) g = Sum (below (4 + 2 * length spots)) g).
  { induction L as [|m L IH]; auto. rewrite sum_below_S, IH, Z by lia. ring. }
  rewrite E, sum_pairs, <- (sum_spots spots h). f_equal. apply sum_ext. intros i I. apply in_below in I.
  destruct (nth_error spots i) as [u|] eqn:N; [apply P; auto|]. apply nth_error_None in N. lia.
Qed.

Lemma beyond : forall j, (4 + 2 * length spots <= j)%nat -> theta (Out j) = 0 /\ theta (Gain j) = 0.
Proof.
  intros j L. destruct j as [|[|[|[|i]]]]; try lia.
  assert (N : nth_error spots (Nat.div2 i) = None).
  { apply nth_error_None. pose proof (Nat.div2_odd i). destruct (Nat.odd i); cbn [Nat.b2n] in *; lia. }
  unfold theta, barely_active. rewrite N. auto.
Qed.

Lemma root_half : sqrt (1 / 2) * sqrt (1 / 2) = 1 / 2.
Proof. apply sqrt_sqrt. lra. Qed.

Lemma root_c : sqrt c * sqrt c = c.
Proof. apply sqrt_sqrt. lra. Qed.

Lemma pair_at : forall i u, nth_error spots i = Some u ->
  theta (Out (4 + 2 * i)) = - y u * sqrt c /\ theta (Out (5 + 2 * i)) = y u * sqrt c /\ theta (Gain (4 + 2 * i)) = sqrt c /\ theta (Gain (5 + 2 * i)) = sqrt c
  /\ (forall x, pre (S d) theta (4 + 2 * i) (with_one d x) = blind u x + eta) /\ (forall x, pre (S d) theta (5 + 2 * i) (with_one d x) = pointed u x + eta).
Proof.
  intros i u N. destruct (div2_even i) as [E1 E2], (div2_odd i) as [O1 O2].
  change (4 + 2 * i)%nat with (S (S (S (S (2 * i))))). change (5 + 2 * i)%nat with (S (S (S (S (S (2 * i)))))).
  repeat split; try (unfold theta, barely_active; rewrite ?E1, ?E2, ?O1, ?O2, N; reflexivity); intros x.
  - apply pre_blind; rewrite ?E1; auto.
  - apply pre_point; rewrite ?O1; auto.
Qed.

(* What a pair adds. *)
Definition adds (u : spot) (x : point) : R := y u * c * (relu (pointed u x + eta) - relu (blind u x + eta)) * / spot_size u.

Lemma barely_output : forall m x, (4 + 2 * length spots <= m)%nat -> on_cube d x ->
  batch_norm m (S d) xs theta (with_one d x) = label x + Sum spots (fun u => adds u x).
Proof.
  intros m x L C. unfold batch_norm. rewrite (sum_neurons m _ (fun u => adds u x) L).
  - f_equal. cbn [below seq Sum]. unfold normalized.
    rewrite (head_size 0 0), (head_size 1 1), (head_size 2 2), (head_size 3 3) by (try lia; intros; apply pre_four; lia).
    rewrite !pre_four by lia. unfold theta, barely_active. cbn [first_sign second_sign].
    assert (R := root_half). set (r := sqrt (1 / 2)) in *.
    transitivity (r * r * / (1 / 2) * (relu (1 * x 0%nat + 1 * x 1%nat - 1) - relu (1 * x 0%nat + - 1 * x 1%nat - 1)
       - relu (- 1 * x 0%nat + 1 * x 1%nat - 1) + relu (- 1 * x 0%nat + - 1 * x 1%nat - 1))); [ring|].
    rewrite R. unfold label.
    destruct (C 0%nat ltac:(lia)) as [-> | ->], (C 1%nat ltac:(lia)) as [-> | ->]; unfold relu, Rmax; repeat destruct (Rle_dec _ _); lra.
  - intros j J. destruct (beyond j J) as [-> _]. ring.
  - intros i u N. assert (Iu := nth_error_In _ _ N). destruct (pair_at i u N) as (O4 & O5 & G4 & G5 & P4 & P5).
    unfold normalized. rewrite O4, O5, G4, G5, P4, P5, (pair_size (4 + 2 * i) u), (pair_size (5 + 2 * i) u) by auto. unfold adds.
    assert (Rc := root_c). set (rc := sqrt c) in *. rewrite <- Rc. ring.
Qed.

Lemma barely_fits : forall m, (4 + 2 * length spots <= m)%nat -> bn_fits m d theta data.
Proof.
  intros m L. split; [apply barely_alive|split].
  - apply bn_smooth; [apply barely_alive|]. intros j x _ I. destruct (training_point x I) as (x' & -> & C).
    destruct (kinds j) as [(h & Lh & H)|(u & Iu & H)].
    + rewrite H. destruct (C 0%nat ltac:(lia)) as [-> | ->], (C 1%nat ltac:(lia)) as [-> | ->], h as [|[|[|h]]]; cbn [first_sign second_sign]; lra.
    + destruct (both u x' Iu I C) as [[A B]|[A B]], H as [-> | ->]; lra.
  - intros e Ie. destruct (primed_complete _ _ _ Ie) as (s & p & q & Is & Hp & Hq & -> & ->).
    assert (C : on_cube d (with_head p q s)) by (apply with_head_on_cube; auto).
    unfold bn_model. fold data. fold xs. rewrite barely_output by auto. rewrite sum_zero; [unfold label; cbn [with_head]; ring|].
    intros u Iu. unfold adds. destruct (both u (with_head p q s) Iu) as [[-> ->]|[A B]]; auto; [apply with_head_in; auto|ring|].
    rewrite !relu_neg by lra. ring.
Qed.

Lemma y_square : forall u, In u spots -> y u * y u = 1.
Proof. intros u I. unfold y. destruct (spots_head u I) as [[-> | ->] [-> | ->]]; ring. Qed.

Lemma barely_norms : forall m, (4 + 2 * length spots <= m)%nat -> norms m theta = 4 + INR (length spots) * (4 * c).
Proof.
  intros m L. unfold norms. rewrite (sum_neurons m _ (fun _ => 4 * c) L).
  - rewrite sum_const. f_equal. cbn [below seq Sum]. unfold theta, barely_active. cbn [first_sign second_sign].
    assert (R := root_half). set (r := sqrt (1 / 2)) in *. transitivity (8 * (r * r)); [ring|]. rewrite R. field.
  - intros j J. destruct (beyond j J) as [-> ->]. ring.
  - intros i u N. destruct (pair_at i u N) as (-> & -> & -> & -> & _). assert (Rc := root_c). assert (Y := y_square u (nth_error_In _ _ N)).
    set (rc := sqrt c) in *. transitivity (2 * (rc * rc) * (y u * y u + 1)); [ring|]. rewrite Rc, Y. ring.
Qed.

(* At an unseen point its own pair adds at least 4 of the wrong sign, and no other pair any of the right one. *)
Lemma adds_wrong : forall u v, In u spots -> In v spots -> eta <= c / 2 ->
  y v * adds u (target v) <= 0 /\ y v * adds v (target v) <= - 4.
Proof.
  intros u v Iu Iv E.
  assert (Cv : on_cube d (target v)) by (destruct (spots_head v Iv); apply with_head_on_cube; auto).
  assert (Off : forall w, In w spots -> relu (pointed w (target v) + eta) = 0).
  { intros w Iw. apply relu_neg. unfold pointed.
    assert (N : ~ (forall k, (k < d)%nat -> x0 w k = target v k)).
    { intros H. apply (spots_unseen v (close w) Iv (close_in w Iw)). intros k K. specialize (H k (proj2 K)). unfold x0, target in H.
      destruct k as [|[|k]]; try lia. exact H. }
    pose proof (dot_cube_agree d (x0 w) _ (x0_cube w Iw) Cv N). lra. }
  unfold adds. rewrite !Off by auto. pose proof (spot_size_bounds u Iu) as [U0 _]. pose proof (spot_size_bounds v Iv) as [V0 V1].
  pose proof (Rinv_0_lt_compat _ U0) as Iu0. split.
  - destruct (spots_head u Iu) as [Hp Hq]. destruct (spots_head v Iv) as [Hp' Hq'].
    assert (H : y v = y u \/ relu (blind u (target v) + eta) = 0).
    { destruct (Req_dec (h1 v) (h1 u)) as [E1|N1]; [destruct (Req_dec (h2 v) (h2 u)) as [E2|N2]|].
      - left. unfold y. congruence.
      - right. apply relu_neg. pose proof (at_other_head d tails (far u) (h1 u) (h2 u) plane tails_cube (spots_cube u Iu)
          (fun s => spots_unseen u s Iu) Hp Hq (close u) (close_in u Iu) (target v) Cv (or_intror N2)). unfold blind. lra.
      - right. apply relu_neg. pose proof (at_other_head d tails (far u) (h1 u) (h2 u) plane tails_cube (spots_cube u Iu)
          (fun s => spots_unseen u s Iu) Hp Hq (close u) (close_in u Iu) (target v) Cv (or_introl N1)). unfold blind. lra. }
    destruct H as [-> | ->]; [|right; ring]. replace (y u * (y u * c * (0 - relu (blind u (target v) + eta)) * / spot_size u))
      with (- (y u * y u * c * relu (blind u (target v) + eta) * / spot_size u)) by ring. rewrite (y_square u Iu).
    pose proof (relu_nonneg (blind u (target v) + eta)). assert (0 <= 1 * c * relu (blind u (target v) + eta) * / spot_size u); [|lra].
    apply Rmult_le_pos; [apply Rmult_le_pos|]; lra.
  - destruct (spots_head v Iv) as [Hp Hq].
    assert (At : blind v (target v) = 2 * distance d (far v) (close v)).
    { unfold blind, target. apply (at_unseen d tails (far v) (h1 v) (h2 v) plane tails_cube (spots_cube v Iv) Hp Hq (close v) (close_in v Iv)). }
    pose proof (D_pos d tails (far v) plane tails_cube (spots_cube v Iv) (fun s => spots_unseen v s Iv) (close v) (close_in v Iv)) as D1.
    rewrite At, relu_pos by lra. set (D := distance d (far v) (close v)) in *. set (i := / spot_size v).
    replace (y v * (y v * c * (0 - (2 * D + eta)) * i)) with (- (y v * y v * (c * (2 * D + eta) * i))) by ring. rewrite (y_square v Iv), Rmult_1_l.
    assert (V : / eta <= i) by (apply Rinv_le_contravar; lra). assert (Ie : 0 < / eta) by (apply Rinv_0_lt_compat; lra).
    assert (B : 4 <= c * 2 * / eta).
    { apply Rmult_le_reg_r with eta; [lra|]. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    assert (c * 2 * / eta <= c * (2 * D + eta) * i); [|lra]. apply Rmult_le_compat; try lra; nra.
Qed.

Lemma barely_wrong : forall m v, (4 + 2 * length spots <= m)%nat -> In v spots -> eta <= c / 2 ->
  label (target v) * batch_norm m (S d) xs theta (with_one d (target v)) <= - 3.
Proof.
  intros m v L Iv E. assert (Cv : on_cube d (target v)) by (destruct (spots_head v Iv); apply with_head_on_cube; auto).
  rewrite barely_output by auto. change (label (target v)) with (y v). rewrite Rmult_plus_distr_l, (y_square v Iv), <- sum_scal.
  destruct (adds_wrong v v Iv Iv E) as [_ Own].
  pose proof (sum_term_le spots (fun u => - (y v * adds u (target v))) v) as T. rewrite sum_opp in T.
  assert (forall u, In u spots -> 0 <= - (y v * adds u (target v))) by (intros u Iu; destruct (adds_wrong u v Iu Iv E); lra).
  specialize (T H Iv). cbv beta in T. lra.
Qed.
End Network.

(* --- what fails ------------------------------------------------------------------------------------------------------------------------------ *)

Definition unseen (d : nat) (tails : list point) (x : point) : Prop := on_cube d x /\ forall s, In s tails -> ~ same_tail d s x.

(* For every S, every list of unseen points, every width from 4 + 2 a point on, and every kappa > 0: a model within kappa of the least trace of
   any width that is wrong at each point of the list. *)
Lemma wrong_at_all : forall d tails xs m kappa, (2 <= d)%nat -> tails <> [] -> (forall s, In s tails -> on_cube d s) ->
  (forall x, In x xs -> unseen d tails x) -> (4 + 2 * length xs <= m)%nat -> 0 < kappa ->
  exists theta, bn_fits m d theta (complete tails) /\ bn_sharpness m d theta (complete tails) <= 8 + kappa /\ norms m theta <= 4 + kappa
    /\ forall x, In x xs -> label x * bn_model m d (complete tails) theta (with_one d x) <= - 3.
Proof.
  intros d tails xs m kappa Dm NE Ct Un Lm K.
  assert (Us : exists us, length us = length xs /\ (forall x, In x xs -> exists u, In u us /\ x = with_head (h1 u) (h2 u) (far u))
     /\ forall u, In u us -> on_cube d (far u) /\ ((h1 u = 1 \/ h1 u = - 1) /\ (h2 u = 1 \/ h2 u = - 1)) /\ (forall s, In s tails -> ~ same_tail d s (far u))
        /\ In (close u) tails /\ forall s, In s tails -> distance d (far u) (close u) <= distance d (far u) s).
  { clear Lm. induction xs as [|x xs IH]; [exists []; split; [auto|split; [intros x []|intros u []]]|].
    destruct IH as (us & Lu & Cov & Good); [intros; apply Un; right; auto|]. destruct (least_of tails (distance d x) NE) as (s0 & I0 & Near).
    destruct (Un x (or_introl eq_refl)) as [C N]. exists (Spot x (x 0%nat) (x 1%nat) s0 :: us). split; [simpl; auto|split].
    - intros x' [<-|I].
      + exists (Spot x (x 0%nat) (x 1%nat) s0). split; [left; auto|]. apply functional_extensionality. intros [|[|k]]; reflexivity.
      + destruct (Cov x' I) as (u & Iu & E). exists u. split; [right; auto|auto].
    - intros u [<-|I]; [|auto]. cbn [far h1 h2 close]. split; [exact C|split; [split; apply C; lia|split; [exact N|split; [exact I0|exact Near]]]]. }
  destruct Us as (us & Lu & Cov & Good). rewrite <- Lu in Lm.
  set (N := INR (length us)). assert (N0 : 0 <= N) by apply pos_INR.
  set (c := kappa / (16 * (N + 1))). assert (C0 : 0 < c) by (apply Rdiv_lt_0_compat; lra).
  assert (Nc : N * c <= kappa / 16).
  { unfold c. apply Rmult_le_reg_r with (16 * (N + 1)); [lra|]. replace (N * (kappa / (16 * (N + 1))) * (16 * (N + 1))) with (N * kappa) by (field; lra). nra. }
  set (eta := Rmin (1 / 2) (c / 2)).
  assert (E1 : 0 < eta < 1).
  { split; [apply Rmin_glb_lt; lra|]. apply Rle_lt_trans with (1 / 2); [apply Rmin_l|lra]. }
  assert (E2 : eta <= c / 2) by apply Rmin_r.
  assert (G1 : forall u, In u us -> on_cube d (far u)) by (intros; apply Good; auto).
  assert (G2 : forall u, In u us -> (h1 u = 1 \/ h1 u = - 1) /\ (h2 u = 1 \/ h2 u = - 1)) by (intros; apply Good; auto).
  assert (G3 : forall u s, In u us -> In s tails -> ~ same_tail d s (far u)) by (intros u s Iu; apply Good; auto).
  assert (G4 : forall u, In u us -> In (close u) tails) by (intros; apply Good; auto).
  assert (G5 : forall u s, In u us -> In s tails -> distance d (far u) (close u) <= distance d (far u) s) by (intros u s Iu; apply Good; auto).
  assert (F := barely_fits d tails us Dm NE Ct G1 G2 G3 G4 G5 c eta C0 E1 m Lm).
  assert (Nm : norms m (barely_active d us c eta) = 4 + N * (4 * c)) by (apply barely_norms; auto).
  assert (NEc : complete tails <> []) by (destruct tails; [congruence|discriminate]).
  destruct (bn_near_bound m d _ (complete tails) (kappa / 2) NEc F) as (theta & F' & Sm & Nm' & B); [lra|].
  exists theta. split; [exact F'|]. split; [rewrite Nm in B; lra|]. split; [rewrite Nm', Nm; lra|].
  intros x I. destruct (Cov x I) as (u & Iu & ->). rewrite Sm. apply (barely_wrong d tails us); auto.
Qed.

(* wen2023/theorem-3.2 fails: for every S, every unseen point, every width from 6 on and every kappa > 0. *)
Theorem every_unseen_point : forall d tails x m kappa, (2 <= d)%nat -> tails <> [] -> (forall s, In s tails -> on_cube d s) ->
  unseen d tails x -> (6 <= m)%nat -> 0 < kappa ->
  exists theta, bn_fits m d theta (complete tails) /\ bn_sharpness m d theta (complete tails) <= 8 + kappa
    /\ norms m theta <= 4 + kappa
    /\ label x * bn_model m d (complete tails) theta (with_one d x) <= - 3
    /\ 4 <= Rabs (label x - bn_model m d (complete tails) theta (with_one d x))
    /\ (forall m' theta', bn_fits m' d theta' (complete tails) -> 8 <= bn_sharpness m' d theta' (complete tails) /\ 4 <= norms m' theta').
Proof.
  intros d tails x m kappa Dm NE Ct Un Lm K.
  destruct (wrong_at_all d tails [x] m kappa Dm NE Ct) as (theta & F & B & Nm & Wr); auto.
  { intros x' [<-|[]]. auto. }
  exists theta. assert (V := Wr x (or_introl eq_refl)). split; [exact F|split; [exact B|split; [exact Nm|split; [exact V|split]]]].
  - destruct (label_cube d x Dm (proj1 Un)) as [L|L]; rewrite L in *; [rewrite Rabs_pos_eq|rewrite Rabs_left]; lra.
  - intros m' theta' F''. split; [apply bn_least_trace; auto|]. apply (least_path m' d tails theta'); auto.
Qed.

Lemma length_cube_nat : forall d, length (cube d) = (2 ^ d)%nat.
Proof. induction d as [|d IH]; auto. cbn [cube Nat.pow]. rewrite app_length, !map_length, IH. lia. Qed.

(* wen2023/theorem-3.2 and table-1's entry: all unseen points at once, so the zero-one error is at least 1 - n/2^d. Every S, every width from
   4 + 2 2^d on, every kappa > 0; no model of any width has a trace smaller by more than kappa. *)
Theorem all_unseen_points : forall d tails m kappa, (2 <= d)%nat -> tails <> [] -> (forall s, In s tails -> on_cube d s) ->
  (4 + 2 * 2 ^ d <= m)%nat -> 0 < kappa ->
  exists theta, bn_fits m d theta (complete tails)
    /\ (forall m' theta', bn_fits m' d theta' (complete tails) -> bn_sharpness m d theta (complete tails) <= bn_sharpness m' d theta' (complete tails) + kappa)
    /\ (forall x, unseen d tails x -> label x * bn_model m d (complete tails) theta (with_one d x) <= - 3)
    /\ 1 - INR (length (complete tails)) / 2 ^ d <= zero_one_error d (fun x => bn_model m d (complete tails) theta (with_one d x)).
Proof.
  intros d tails m kappa Dm NE Ct Lm K.
  set (known x := existsb (fun s => agree d (with_head (x 0%nat) (x 1%nat) s) x) tails).
  assert (Known : forall x, known x = false -> forall s, In s tails -> ~ same_tail d s x).
  { intros x H s I Sm. assert (T : known x = true); [|congruence]. apply existsb_exists. exists s. split; auto. apply agree_iff.
    intros [|[|k]] L; auto. apply Sm. split; [lia|auto]. }
  set (xs := filter (fun x => negb (known x)) (cube d)).
  assert (Lx : (length xs <= 2 ^ d)%nat).
  { rewrite <- length_cube_nat. unfold xs. generalize (cube d). induction l as [|x l IH]; simpl; auto. destruct (negb (known x)); simpl; lia. }
  destruct (wrong_at_all d tails xs m kappa Dm NE Ct) as (theta & F & B & _ & Wr); auto.
  { intros x I. apply filter_In in I. destruct I as [I H]. apply Bool.negb_true_iff in H. split; [apply cube_on_cube; auto|apply Known; auto]. }
  { apply Nat.le_trans with (2 := Lm). apply Nat.add_le_mono_l, Nat.mul_le_mono_l. exact Lx. }
  exists theta. split; [exact F|]. split.
  { intros m' theta' F'. pose proof (bn_least_trace m' d tails theta' Dm NE F'). lra. }
  assert (All : forall x, unseen d tails x -> label x * bn_model m d (complete tails) theta (with_one d x) <= - 3).
  { intros x [C N].
    assert (X : exists x', In x' (cube d) /\ agree d x' x = true).
    { generalize (cube_once d x C). generalize (cube d). induction l as [|a l IH]; cbn [Sum]; intros One; [lra|]. destruct (agree d a x) eqn:A.
      - exists a. split; [left; auto|auto].
      - destruct IH as (x' & I & A'); [lra|]. exists x'. split; [right; auto|auto]. }
    destruct X as (x' & I & A). assert (E := proj1 (agree_iff _ _ _) A).
    assert (Ix : In x' xs).
    { apply filter_In. split; auto. apply Bool.negb_true_iff. apply Bool.not_true_is_false. intros H. apply existsb_exists in H.
      destruct H as (s & Is & H). apply (N s Is). intros k L. rewrite <- E by lia.
      pose proof (proj1 (agree_iff _ _ _) H k (proj2 L)) as G. destruct k as [|[|k]]; try lia. exact G. }
    specialize (Wr x' Ix). replace (label x) with (label x') by (unfold label; rewrite !E by lia; auto).
    replace (bn_model m d (complete tails) theta (with_one d x)) with (bn_model m d (complete tails) theta (with_one d x')); [exact Wr|].
    apply sum_ext. intros j _. f_equal. unfold normalized. f_equal. f_equal. unfold pre. apply sum_ext. intros k L. apply in_below in L.
    f_equal. unfold with_one. destruct (Nat.eqb_spec k d); auto. apply E. lia. }
  split; [exact All|].
  assert (P2 : 0 < 2 ^ d) by (apply pow_lt; lra). set (n := INR (length (complete tails))).
  unfold zero_one_error. set (f := fun x => bn_model m d (complete tails) theta (with_one d x)) in *.
  assert (Count : 2 ^ d - n <= Sum (cube d) (fun x => if Rle_dec (label x * f x) 0 then 1 else 0)).
  { replace (2 ^ d - n) with (Sum (cube d) (fun x => 1 - Sum (complete tails) (fun e => if agree d x (fst e) then 1 else 0))).
    - apply sum_le. intros x I. apply cube_on_cube in I.
      assert (Nn : forall e, In e (complete tails) -> 0 <= (if agree d x (fst e) then 1 else 0)) by (intros e _; destruct (agree d x (fst e)); lra).
      pose proof (sum_nonneg (complete tails) _ Nn) as S0. destruct (Rle_dec (label x * f x) 0) as [|P]; [lra|].
      destruct (known x) eqn:H.
      + apply existsb_exists in H. destruct H as (s & Is & A).
        assert (Ie : In (with_one d (with_head (x 0%nat) (x 1%nat) s)) (inputs d (complete tails))) by (apply with_head_in; auto; apply I; lia).
        unfold inputs, primed in Ie. rewrite map_map in Ie. apply in_map_iff in Ie. destruct Ie as (e & E & Ie). cbn [fst] in E.
        pose proof (sum_term_le (complete tails) (fun e => if agree d x (fst e) then 1 else 0) e Nn Ie) as T. cbv beta in T.
        replace (agree d x (fst e)) with true in T; [lra|]. symmetry. apply agree_iff. intros k L.
        rewrite <- (proj1 (agree_iff _ _ _) A k L). apply (f_equal (fun g => g k)) in E. unfold with_one in E.
        destruct (Nat.eqb_spec k d); [lia|auto].
      + assert (Wx := All x (conj I (Known x H))). fold (f x) in Wx. lra.
    - rewrite sum_minus, sum_const, length_cube, sum_swap. rewrite (sum_ext (complete tails) _ (fun _ => 1)); [rewrite sum_const; unfold n; ring|].
      intros e Ie. apply cube_once. unfold complete in Ie. apply in_flat_map in Ie. destruct Ie as (s & Is & Q).
      destruct Q as [<-|[<-|[<-|[<-|[]]]]]; cbn [fst]; apply with_head_on_cube; auto. }
  apply Rmult_le_reg_l with (2 ^ d); auto. rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l by lra.
  replace (2 ^ d * (1 - n / 2 ^ d)) with (2 ^ d - n) by (field; lra). exact Count.
Qed.

(* condition 1: the differences of the tails span. *)
Definition spans (d : nat) (tails : list point) : Prop := forall v : point,
  (forall s s', In s tails -> In s' tails -> Sum (below d) (fun k => tail k (v k * (s k - s' k))) = 0) ->
  forall k, (2 <= k < d)%nat -> v k = 0.

(* --- width 5 -------------------------------------------------------------------------------------------------------------------------------- *)

(* d = 4, S = {(1, 1), (-1, 1), (1, -1)}: one more neuron, which sees the head (1, 1) with the tail (-1, 1) alone, and with (-1, -1); what it adds
   to the training set the neuron of that head takes away. *)
Definition plane_tail (a b : R) : point := fun k => match k with 2 => a | 3 => b | _ => 1 end.
Definition three_tails : list point := [plane_tail 1 1; plane_tail (- 1) 1; plane_tail 1 (- 1)].

Section Five.
Variable delta : R.
Hypothesis small : 0 < delta < 1.
Let s := sqrt ((2 + (1 + delta) ^ 2) / 12).
Let v := delta / sqrt 12.

Definition five (w : bn_parameter) : R :=
  match w with
  | W 0 k => match k with 0 | 1 => 1 | 2 => - delta / 2 | 3 => 0 | _ => - 1 + delta / 2 end
  | W 4 k => match k with 0 | 1 => 4 | 2 => - (1 / 2 + delta / 4) | 3 => - (1 / 2) | _ => - 8 end
  | W j k => head_weight 4 (first_sign j) (second_sign j) (- 1) k
  | Gain j => match j with 0 => sqrt s | 4 => sqrt v | _ => sqrt (1 / 2) end
  | Out j => match j with 0 => sqrt s | 4 => - sqrt v | _ => first_sign j * second_sign j * sqrt (1 / 2) end
  end.
Let data := complete three_tails.
Let xs := inputs 4 data.

Definition own_value (x : point) : R := x 0%nat + x 1%nat - 1 + delta * (1 - x 2%nat) / 2.
Definition new_value (x : point) : R := 4 * x 0%nat + 4 * x 1%nat - (1 / 2 + delta / 4) * x 2%nat - x 3%nat / 2 - 8.
Definition sees (j : nat) (x : point) : R :=
  match j with 0 => own_value x | 4 => new_value x | _ => first_sign j * x 0%nat + second_sign j * x 1%nat - 1 end.

Lemma five_pre : forall j x, (j < 5)%nat -> pre 5 five j (with_one 4 x) = sees j x.
Proof.
  intros j x J. unfold pre. rewrite dot_with_one. unfold dot. destruct j as [|[|[|[|[|j]]]]]; try lia;
  unfold five, sees, own_value, new_value, head_weight; cbn [below seq Sum Nat.eqb first_sign second_sign]; field.
Qed.

Lemma three_cube : forall t, In t three_tails -> on_cube 4 t.
Proof. intros t [<-|[<-|[<-|[]]]] [|[|[|[|k]]]] K; try lia; cbn [plane_tail]; auto. Qed.

(* At a training point no neuron is at its kink; the new one sees (1, 1, -1, 1) alone, the own one its head. *)
Lemma five_off_kinks : forall j x, (j < 5)%nat -> In x xs -> pre 5 five j x <> 0.
Proof.
  intros j x J I. destruct (in_complete _ _ _ I) as (t & p & q & It & Hp & Hq & ->). rewrite five_pre by auto.
  destruct It as [<-|[<-|[<-|[]]]], Hp as [->| ->], Hq as [->| ->], j as [|[|[|[|[|j]]]]]; try lia;
  unfold sees, own_value, new_value; cbn [with_head plane_tail first_sign second_sign]; lra.
Qed.

Ltac relus := repeat first [rewrite relu_pos by lra | rewrite relu_neg by lra].

Lemma five_squares : forall j, (j < 5)%nat -> Sum xs (fun x => relu (pre 5 five j x) ^ 2)
  = match j with 0 => 2 + (1 + delta) ^ 2 | 4 => (delta / 4) ^ 2 | _ => 3 end.
Proof.
  intros j J. unfold xs, data. rewrite sum_inputs_complete. unfold three_tails, four. cbn [Sum fst]. rewrite !five_pre by auto.
  destruct j as [|[|[|[|[|j]]]]]; try lia; unfold sees, own_value, new_value; cbn [with_head plane_tail first_sign second_sign]; relus; field.
Qed.

Lemma root12 : 2 <= sqrt 12 /\ sqrt 12 * sqrt 12 = 12.
Proof.
  assert (P : 0 < sqrt 12) by (apply sqrt_lt_R0; lra). assert (E : sqrt 12 * sqrt 12 = 12) by (apply sqrt_sqrt; lra). split; [nra|auto].
Qed.

Lemma five_size : forall j, (j < 5)%nat -> size 5 xs five j = match j with 0 => s | 4 => delta / 4 / sqrt 12 | _ => 1 / 2 end.
Proof.
  intros j J. destruct root12 as [R E]. unfold size, mean_square_of. rewrite five_squares by auto.
  replace (INR (length xs)) with 12 by (unfold xs; rewrite length_inputs; unfold data; rewrite length_complete; simpl; ring).
  assert (H : / 12 * 3 = 1 / 2 * (1 / 2)) by field.
  destruct j as [|[|[|[|[|j]]]]]; try lia; try (rewrite H; apply sqrt_square; lra).
  - unfold s. f_equal. field.
  - replace (/ 12 * (delta / 4) ^ 2) with (delta / 4 / sqrt 12 * (delta / 4 / sqrt 12)).
    + apply sqrt_square. apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra].
    + apply Rmult_eq_reg_r with (sqrt 12 * sqrt 12); [|nra]. transitivity ((delta / 4) ^ 2); [field; lra|]. rewrite E. field.
Qed.

Lemma s_bounds : 0 < s <= (1 + delta) / 2.
Proof.
  split; [apply sqrt_lt_R0; nra|]. rewrite <- (sqrt_square ((1 + delta) / 2)) by lra. apply sqrt_le_1_alt. nra.
Qed.

Lemma v_bounds : 0 < v <= delta / 2.
Proof.
  destruct root12 as [R E]. unfold v. split; [apply Rdiv_lt_0_compat; lra|].
  apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; lra.
Qed.

Lemma five_alive : alive 5 5 xs five.
Proof.
  intros j J. rewrite five_size by auto. pose proof s_bounds. destruct root12 as [R E]. destruct j as [|[|[|[|[|j]]]]]; try lia; try lra.
  apply Rdiv_lt_0_compat; lra.
Qed.

Lemma five_output : forall x, batch_norm 5 5 xs five (with_one 4 x)
  = relu (sees 0 x) - relu (sees 1 x) - relu (sees 2 x) + relu (sees 3 x) - 4 * relu (sees 4 x).
Proof.
  intros x. unfold batch_norm. cbn [below seq Sum]. unfold normalized. rewrite !five_size, !five_pre by lia.
  pose proof s_bounds as [S0 _]. pose proof v_bounds as [V0 _]. destruct root12 as [R E].
  assert (Rs : sqrt s * sqrt s = s) by (apply sqrt_sqrt; lra). assert (Rv : sqrt v * sqrt v = v) by (apply sqrt_sqrt; lra).
  assert (Rh := root_half). unfold five. cbn [first_sign second_sign]. set (rs := sqrt s) in *. set (rv := sqrt v) in *. set (rh := sqrt (1 / 2)) in *.
  transitivity (rs * rs * / s * relu (sees 0 x) - rh * rh * / (1 / 2) * (relu (sees 1 x) + relu (sees 2 x) - relu (sees 3 x))
    - rv * rv * / (delta / 4 / sqrt 12) * relu (sees 4 x)); [ring|].
  rewrite Rs, Rv, Rh. unfold v. field. repeat split; lra.
Qed.

Lemma five_fits : bn_fits 5 4 five data.
Proof.
  split; [apply five_alive|split; [apply bn_smooth; [apply five_alive|intros; apply five_off_kinks; auto]|]].
  intros e Ie. destruct (primed_complete _ _ _ Ie) as (t & p & q & It & Hp & Hq & -> & ->).
  unfold bn_model. fold data. fold xs. rewrite five_output.
  destruct It as [<-|[<-|[<-|[]]]], Hp as [->| ->], Hq as [->| ->];
  unfold sees, own_value, new_value; cbn [with_head plane_tail first_sign second_sign]; relus; field.
Qed.

Lemma five_norms : norms 5 five <= 4 + 2 * delta.
Proof.
  pose proof s_bounds as [S0 S1]. pose proof v_bounds as [V0 V1].
  assert (Rs : sqrt s * sqrt s = s) by (apply sqrt_sqrt; lra). assert (Rv : sqrt v * sqrt v = v) by (apply sqrt_sqrt; lra).
  assert (Rh := root_half). unfold norms, five. cbn [below seq Sum first_sign second_sign].
  set (rs := sqrt s) in *. set (rv := sqrt v) in *. set (rh := sqrt (1 / 2)) in *.
  apply Rle_trans with (2 * (rs * rs) + 6 * (rh * rh) + 2 * (rv * rv)); [right; ring|]. rewrite Rs, Rv, Rh. lra.
Qed.

Lemma five_wrong : batch_norm 5 5 xs five (with_one 4 (with_head 1 1 (plane_tail (- 1) (- 1)))) = - 3.
Proof.
  rewrite five_output. unfold sees, own_value, new_value. cbn [with_head plane_tail first_sign second_sign]. relus. field.
Qed.
End Five.

(* Theorem 3.2 as printed is false, at width 5: d = 4, the S above, the unseen tail (-1, -1). *)
Theorem printed_theorem_refuted : exists d tails t m, spans d tails /\ (forall s, In s tails -> on_cube d s) /\ on_cube d t /\
  forall kappa, 0 < kappa -> exists theta, bn_fits m d theta (complete tails)
    /\ (forall theta', bn_fits m d theta' (complete tails) -> bn_sharpness m d theta (complete tails) <= bn_sharpness m d theta' (complete tails) + kappa)
    /\ 4 <= Rabs (label (with_head 1 1 t) - bn_model m d (complete tails) theta (with_one d (with_head 1 1 t))).
Proof.
  exists 4%nat, three_tails, (plane_tail (- 1) (- 1)), 5%nat. split; [|split; [apply three_cube|split]].
  - intros u H k K.
    pose proof (H (plane_tail 1 1) (plane_tail (- 1) 1) ltac:(simpl; auto) ltac:(simpl; auto)) as H1.
    pose proof (H (plane_tail 1 1) (plane_tail 1 (- 1)) ltac:(simpl; auto) ltac:(simpl; auto)) as H2.
    unfold plane_tail, tail in H1, H2. cbn [below seq Sum] in H1, H2. destruct k as [|[|[|[|k]]]]; try lia; lra.
  - intros [|[|[|[|k]]]] K; try lia; cbn [plane_tail]; auto.
  - intros kappa K. set (delta := Rmin (1 / 2) (kappa / 8)).
    assert (D : 0 < delta < 1) by (split; [apply Rmin_glb_lt; lra|apply Rle_lt_trans with (1 / 2); [apply Rmin_l|lra]]).
    assert (D8 : delta <= kappa / 8) by apply Rmin_r.
    destruct (bn_near_bound 5 4 (five delta) (complete three_tails) (kappa / 2) ltac:(discriminate) (five_fits delta D)) as (theta & F & Sm & _ & B); [lra|].
    pose proof (five_norms delta D) as N. exists theta. split; [exact F|split].
    + intros theta' F'. pose proof (bn_least_trace 5 4 three_tails theta' ltac:(lia) ltac:(discriminate) F'). lra.
    + rewrite Sm. unfold bn_model. rewrite five_wrong by auto. unfold label. cbn [with_head]. rewrite Rabs_pos_eq; lra.
Qed.
