package quota_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func Example() {
	var ledger quota.Ledger
	_, err := ledger.Create(quota.Spec{
		Namespace: "backend",
		Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU:       {Soft: 10 * placement.Core},
			placement.NameInstances: {Soft: 100},
		},
	})
	if err != nil {
		panic(err)
	}
	web := placement.OneInstance(placement.Resources{CPU: 6 * placement.Core, Memory: 8 * placement.GiB})
	for _, id := range []string{"web-1", "web-1", "web-2"} {
		_, err := ledger.Charge("backend", id, web)
		fmt.Println(id, err)
	}
	amounts, err := ledger.Release("backend", "web-1")
	fmt.Println("released", amounts, err)
	// Output:
	// web-1 <nil>
	// web-1 <nil>
	// web-2 quota: "backend" cannot be charged: cpu: 6 requested, but backend uses 6 of 10 and lacks 2
	// released cpu=6 memory=8GiB instances=1 <nil>
}

func ExampleNew() {
	_, err := quota.New(quota.Config{
		RequireQuota: true,
		Specs: []quota.Spec{ // in any order
			{Namespace: "web", Parent: "team"},
			{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: -1}}},
			{Namespace: "batch", Parent: "nobody"},
		},
	})
	fmt.Println(err)
	// Output:
	// placement: quota "nobody" not found
	// placement: invalid limits.cpu.soft "-1": negative
	// placement: quota "team" not found
}

// A refusal says everything that stands against the charge.
func ExampleExceededError() {
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "org", Limits: map[placement.ResourceName]quota.Limit{placement.NameMemory: {Soft: 16 * placement.GiB}}},
		{Namespace: "team", Parent: "org", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}}},
	}})
	if err != nil {
		panic(err)
	}
	_, err = ledger.Charge("team", "web-1", placement.OneInstance(placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB}))
	if exceeded, ok := errors.AsType[*quota.ExceededError](err); ok {
		for _, v := range exceeded.Verdict.Violations {
			fmt.Println(v.Namespace, v.Resource, v.Reason, "short of", placement.FormatQuantity(v.Resource, v.Shortfall))
		}
		fmt.Println("waiting helps:", exceeded.Verdict.WaitingHelps())
	}
	// Output:
	// team cpu never fits short of 4
	// org memory never fits short of 16GiB
	// waiting helps: false
}

func ExampleLedger_Check() {
	var ledger quota.Ledger
	verdict, err := ledger.Check("anybody", placement.OneInstance(placement.Resources{CPU: 4 * placement.Core}))
	fmt.Println(verdict.Allowed(), err)
	_, err = ledger.Check("anybody", placement.OneInstance(placement.Resources{CPU: -4}))
	fmt.Println(err)
	// Output:
	// true <nil>
	// placement: invalid cpu "-4": negative
}

func ExampleLedger_Resize() {
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "db", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}}},
	}})
	if err != nil {
		panic(err)
	}
	for _, cores := range []int64{2, 4, 5} {
		amounts := placement.OneInstance(placement.Resources{CPU: cores * placement.Core})
		if cores == 2 {
			_, err = ledger.Charge("db", "main", amounts)
		} else {
			_, err = ledger.Resize("db", "main", amounts)
		}
		fmt.Println(cores, err)
	}
	held, _ := ledger.Charged("db", "main")
	fmt.Println("held:", held)
	// Output:
	// 2 <nil>
	// 4 <nil>
	// 5 quota: "db" cannot be charged: cpu: 1 requested, but db allows at most 4 in all
	// held: cpu=4 instances=1
}

// A limit may be lowered below usage. Nothing is evicted, and nothing grows
// until it fits again.
func ExampleLedger_Update() {
	limit := func(cores int64) quota.Spec {
		return quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: {Soft: cores * placement.Core},
		}}
	}
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{limit(8)}})
	if err != nil {
		panic(err)
	}
	_, err = ledger.Charge("team", "a", placement.OneInstance(placement.Resources{CPU: 8 * placement.Core}))
	if err != nil {
		panic(err)
	}
	over, err := ledger.Update(limit(6))
	fmt.Println(over[0].Namespace, over[0].Resource, over[0].Used, "of", over[0].Ceiling, err)
	_, err = ledger.Charge("team", "b", placement.OneInstance(placement.Resources{CPU: 1}))
	fmt.Println(errors.Is(err, quota.ErrExceeded))
	// Output:
	// team cpu 8000 of 6000 <nil>
	// true
}

func ExampleLimit_Ceiling() {
	limit := quota.Limit{Soft: 10 * placement.Core, BurstPercent: 150, BurstFor: time.Hour}
	fmt.Println(limit.Ceiling())
	// Output: 15000
}

// Usage may stay above Soft for as long as BurstFor says.
func ExampleUsage() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ledger, err := quota.New(quota.Config{
		Now: func() time.Time { return now },
		Specs: []quota.Spec{{Namespace: "ci", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: {Soft: 10 * placement.Core, BurstPercent: 200, BurstFor: time.Hour},
		}}},
	})
	if err != nil {
		panic(err)
	}
	verdict, err := ledger.Charge("ci", "build", placement.OneInstance(placement.Resources{CPU: 12 * placement.Core}))
	fmt.Println("bursting:", verdict.Bursting(), err)
	end, _ := ledger.NextDeadline()
	fmt.Println("until", end.Format(time.TimeOnly))
	now = end
	for _, u := range ledger.Usage("ci") {
		if u.Over() {
			fmt.Println(u.Resource, u.Used, "of", u.Soft, "since", u.Since.Format(time.TimeOnly))
		}
	}
	// Output:
	// bursting: [cpu] <nil>
	// until 13:00:00
	// cpu 12000 of 10000 since 12:00:00
}

// The default is the quota of every namespace without one.
func ExampleSpec() {
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "tenants", Limits: map[placement.ResourceName]quota.Limit{placement.NameInstances: {Soft: 1000}}},
		{Namespace: "tenant", Parent: "tenants", Default: true, Limits: map[placement.ResourceName]quota.Limit{
			placement.NameInstances: {Soft: 1},
		}},
	}})
	if err != nil {
		panic(err)
	}
	for _, tenant := range []string{"anne", "ben"} {
		_, first := ledger.Charge(tenant, "1", placement.OneInstance(placement.Resources{}))
		_, second := ledger.Charge(tenant, "2", placement.OneInstance(placement.Resources{}))
		fmt.Println(tenant, first == nil, second == nil)
	}
	for ns := range ledger.Namespaces() {
		for _, usage := range ledger.Usage(ns) {
			fmt.Println(ns, usage.Used, "of", usage.Soft)
		}
	}
	// Output:
	// anne true false
	// ben true false
	// anne 1 of 1
	// ben 1 of 1
	// tenant 0 of 1
	// tenants 2 of 1000
}

// A refused charge waits for the next change, and misses none.
func ExampleLedger_Wait() {
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameInstances: {Soft: 1}}},
	}})
	if err != nil {
		panic(err)
	}
	one := placement.OneInstance(placement.Resources{})
	chargeWhenFree := func(ctx context.Context, id string) error {
		for {
			_, err := ledger.Charge("ns", id, one)
			exceeded, refused := errors.AsType[*quota.ExceededError](err)
			if !refused || !exceeded.Verdict.WaitingHelps() {
				return err
			}
			if err := ledger.Wait(ctx, exceeded.Version); err != nil {
				return err
			}
		}
	}
	ctx := context.Background()
	fmt.Println(chargeWhenFree(ctx, "first"))
	second := make(chan error)
	go func() { second <- chargeWhenFree(ctx, "second") }()
	_, err = ledger.Release("ns", "first")
	fmt.Println(err, <-second)
	// Output:
	// <nil>
	// <nil> <nil>
}

func ExampleLedger_Delete() {
	var ledger quota.Ledger
	if _, err := ledger.Create(quota.Spec{Namespace: "ns"}); err != nil {
		panic(err)
	}
	for _, id := range []string{"d", "c", "b", "a"} {
		if _, err := ledger.Charge("ns", id, placement.Amounts{}); err != nil {
			panic(err)
		}
	}
	fmt.Println(ledger.Delete("ns"))
	// Output: quota: namespace "ns" still has charges, 4 in all: "a", "b", "c" and others
}

// Charges move from one ledger to another, whatever its limits.
func ExampleLedger_Import() {
	var old quota.Ledger
	if _, err := old.Charge("ns", "a", placement.OneInstance(placement.Resources{CPU: 2 * placement.Core})); err != nil {
		panic(err)
	}
	ledger, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: placement.Core}}},
	}})
	if err != nil {
		panic(err)
	}
	over, err := ledger.Import(old.Charges())
	fmt.Println("over:", len(over), err)
	for charge := range ledger.ChargesOf("ns") {
		fmt.Println(charge.ID, charge.Amounts)
	}
	fmt.Println("exact:", ledger.Verify() == nil)
	// Output:
	// over: 1 <nil>
	// a cpu=2 instances=1
	// exact: true
}

// A snapshot is all that a ledger knows, bursts that are going on included.
func ExampleLedger_Snapshot() {
	var ledger quota.Ledger
	if _, err := ledger.Charge("ns", "a", placement.OneInstance(placement.Resources{CPU: 2 * placement.Core})); err != nil {
		panic(err)
	}
	data, err := json.Marshal(ledger.Snapshot())
	if err != nil {
		panic(err)
	}
	fmt.Println(string(data))

	var snapshot quota.Snapshot
	if err := json.Unmarshal(data, &snapshot); err != nil {
		panic(err)
	}
	var restored quota.Ledger
	fmt.Println(restored.Restore(snapshot))
	fmt.Println(restored.Charged("ns", "a"))
	// Output:
	// {"version":1,"state":{"accounts":[{"namespace":"ns","charges":1,"used":{"resources":{"cpu":2000},"instances":1}}]},"charges":[{"namespace":"ns","id":"a","amounts":{"resources":{"cpu":2000},"instances":1}}]}
	// <nil>
	// cpu=2 instances=1 true
}

// Accounts keep no charges: whoever embeds them does, here a map of instances.
func ExampleAccounts() {
	var accounts quota.Accounts
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := accounts.Create(now, quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 4 * placement.Core, BurstPercent: 150},
	}})
	if err != nil {
		panic(err)
	}
	instances := map[string]placement.Amounts{}
	start := func(id string, cores int64, mode quota.Mode) {
		amounts := placement.OneInstance(placement.Resources{CPU: cores * placement.Core})
		verdict, err := accounts.Charge(now, "ns", amounts, mode)
		if err == nil {
			instances[id] = amounts
		}
		fmt.Println(id, verdict.Allowed(), verdict.Bursting())
	}
	start("a", 3, quota.MayBurst)
	start("b", 3, quota.SoftOnly)
	start("c", 3, quota.MayBurst)
	fmt.Println(accounts.Remove("ns", instances["a"]))
	delete(instances, "a")
	fmt.Println(accounts.Verify(func(yield func(string, quota.Timed) bool) {
		for _, amounts := range instances {
			if !yield("ns", quota.Timed{Amounts: amounts}) {
				return
			}
		}
	}))
	// Output:
	// a true []
	// b false []
	// c true [cpu]
	// <nil>
	// <nil>
}

// A charge that exists whatever the limits say is added, and what is over is
// reported.
func ExampleAccounts_Add() {
	var accounts quota.Accounts
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := accounts.Create(now, quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameInstances: {Soft: 1},
	}})
	if err != nil {
		panic(err)
	}
	for range 2 {
		over, err := accounts.Add(now, "ns", placement.OneInstance(placement.Resources{}))
		fmt.Println(len(over), err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
}

// A service of one team may take the place of one of another team where both
// count for the same organisation.
func ExampleAccounts_CheckExchange() {
	var accounts quota.Accounts
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 10 * placement.Core}}},
		{Namespace: "a", Parent: "org"},
		{Namespace: "b", Parent: "org"},
	} {
		if _, err := accounts.Create(now, spec); err != nil {
			panic(err)
		}
	}
	cores := func(n int64) placement.Amounts {
		return placement.OneInstance(placement.Resources{CPU: n * placement.Core})
	}
	if _, err := accounts.Charge(now, "a", cores(8), quota.MayBurst); err != nil {
		panic(err)
	}

	exchange := quota.Exchange{Namespace: "b", To: []quota.Timed{{Amounts: cores(6)}}}
	verdict, err := accounts.CheckExchange(now, exchange)
	fmt.Println(verdict.Allowed(), err)
	exchange.Freed = func(yield func(string, quota.Timed) bool) { yield("a", quota.Timed{Amounts: cores(8)}) }
	verdict, err = accounts.CheckExchange(now, exchange)
	fmt.Println(verdict.Allowed(), err)
	// Output:
	// false <nil>
	// true <nil>
}

// A team books all of its limit for two consecutive hours, and runs something
// before them that ends in time.
func ExampleLedger_ChargeOver() {
	now := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	ledger, err := quota.New(quota.Config{
		Now: func() time.Time { return now },
		Specs: []quota.Spec{{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: {Soft: 8 * placement.Core},
		}}},
	})
	if err != nil {
		panic(err)
	}
	cores := func(n int64) placement.Amounts {
		return placement.Amounts{Resources: placement.Resources{CPU: n * placement.Core}}
	}
	at := func(hour int) time.Time { return now.Add(time.Duration(hour-8) * time.Hour) }
	for _, hour := range []int{9, 10} {
		_, err := ledger.ChargeOver("team", fmt.Sprint("load-test-", hour), quota.Timed{
			Amounts: cores(8), From: at(hour), Until: at(hour + 1), Reserved: true,
		})
		fmt.Println(err)
	}
	_, err = ledger.ChargeOver("team", "build", quota.Timed{Amounts: cores(2), Until: at(9)})
	fmt.Println(err)
	_, err = ledger.Charge("team", "web", cores(2))
	fmt.Println(err)
	if exceeded, ok := errors.AsType[*quota.ExceededError](err); ok {
		fmt.Println(exceeded.Verdict.Earliest().Format(time.Kitchen))
	}
	fmt.Println(ledger.Usage("team")[0].Used, ledger.UsageOver("team", at(9), at(10))[0].Used)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// quota: "team" cannot be charged: cpu: 2 requested, but team at 2026-01-01T09:00:00Z uses 8 of 8 and lacks 2; the earliest start is 2026-01-01T11:00:00Z
	// 11:00AM
	// 2000 8000
}
