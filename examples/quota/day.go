package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// specs are an organisation with 40 cores, of which each team may use some;
// together the teams may not use all that they are allowed alone.
func specs() []quota.Spec {
	return []quota.Spec{
		{Namespace: "acme", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU:    {Soft: 40 * placement.Core},
			placement.NameMemory: {Soft: 160 * placement.GiB},
		}},
		{Namespace: "web", Parent: "acme", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU:       {Soft: 20 * placement.Core, BurstPercent: 150, BurstFor: 30 * time.Minute},
			placement.NameInstances: {Soft: 8},
		}},
		{Namespace: "data", Parent: "acme", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: {Soft: 24 * placement.Core},
			placement.NameGPU: {}, // denied
		}},
	}
}

// day is what happens on a ledger, told line by line.
type day struct {
	out    strings.Builder
	now    time.Time
	ledger *quota.Ledger
}

// tell runs the whole day.
func (d *day) tell() error {
	for _, chapter := range []func() error{d.morning, d.burst, d.refusal, d.lower, d.evening} {
		if err := chapter(); err != nil {
			return err
		}
		d.out.WriteByte('\n')
	}
	return nil
}

// morning fills both teams' quota as on any day.
func (d *day) morning() error {
	if err := errors.Join(
		d.charge("web", "shop-1", instance(10, 16)),
		d.charge("web", "shop-2", instance(10, 16)),
		d.charge("web", "shop-2", instance(10, 16)), // a retry, after a lost answer
		d.charge("data", "etl", instance(8, 64)),
	); err != nil {
		return err
	}
	return d.usage()
}

// burst goes above the soft limit for a sale, until the burst has ended.
func (d *day) burst() error {
	if err := d.charge("web", "sale-1", instance(4, 8)); err != nil {
		return err
	}
	end, _ := d.ledger.NextDeadline()
	d.say("the burst of web ends at %s", end.Format("15:04"))
	d.now = d.now.Add(29 * time.Minute)
	if err := d.charge("web", "sale-2", instance(2, 4)); err != nil {
		return err
	}
	d.now = end
	if err := d.charge("web", "sale-3", instance(2, 4)); err != nil {
		return err
	}
	if err := d.release("web", "sale-1", "sale-2"); err != nil {
		return err
	}
	return d.charge("web", "sale-3", instance(2, 4)) // a new burst begins
}

// refusal asks for too much of several things at once.
func (d *day) refusal() error {
	amounts := instance(18, 60)
	amounts.Resources.GPU = placement.Device
	if err := d.charge("data", "training", amounts); err != nil {
		return err
	}
	return d.charge("ops", "backup", instance(1, 1))
}

// lower takes cores from the web team while it uses them.
func (d *day) lower() error {
	spec, _ := d.ledger.Spec("web")
	spec.Limits[placement.NameCPU] = quota.Limit{Soft: 12 * placement.Core}
	over, err := d.ledger.Update(spec)
	if err != nil {
		return err
	}
	for _, u := range over {
		d.say("lower %s of %s to %s: %s in use, nothing is evicted", u.Resource, u.Namespace, quantity(u.Resource, u.Soft), quantity(u.Resource, u.Used))
	}
	if err := d.charge("web", "shop-3", instance(1, 1)); err != nil {
		return err
	}
	if err := d.charge("web", "cache", instance(0, 16)); err != nil { // memory only
		return err
	}
	if err := d.release("web", "shop-2"); err != nil {
		return err
	}
	return d.release("web", "sale-3")
}

// evening shows what is left, and that the books add up.
func (d *day) evening() error {
	if err := d.usage(); err != nil {
		return err
	}
	for charge := range d.ledger.Charges() {
		d.say("%s holds %s for %s", charge.Namespace, charge.Amounts, charge.ID)
	}
	return d.ledger.Verify()
}

// charge says whether it was admitted; a refusal is part of the day.
func (d *day) charge(ns, id string, amounts placement.Amounts) error {
	_, again := d.ledger.Charged(ns, id)
	verdict, err := d.ledger.Charge(ns, id, amounts)
	exceeded, refused := errors.AsType[*quota.ExceededError](err)
	switch {
	case refused:
		d.say("charge %s %s for %s: refused", ns, amounts, id)
		for _, violation := range exceeded.Verdict.Violations {
			d.say("    %s", violation)
		}
		if !exceeded.Verdict.WaitingHelps() {
			d.say("    waiting does not help")
		}
	case err != nil:
		return err
	case again:
		d.say("charge %s %s for %s again: nothing changes", ns, amounts, id)
	case len(verdict.Bursting()) > 0:
		d.say("charge %s %s for %s: bursting in %v", ns, amounts, id, verdict.Bursting())
	default:
		d.say("charge %s %s for %s", ns, amounts, id)
	}
	return nil
}

func (d *day) release(ns string, ids ...string) error {
	for _, id := range ids {
		amounts, err := d.ledger.Release(ns, id)
		if err != nil {
			return err
		}
		d.say("release %s: %s gets %s back", id, ns, amounts)
	}
	return nil
}

func (d *day) usage() error {
	for ns := range d.ledger.Namespaces() {
		var parts []string
		for _, u := range d.ledger.Usage(ns) {
			part := quantity(u.Resource, u.Used)
			if u.Limited() {
				part += " of " + quantity(u.Resource, u.Soft)
			}
			parts = append(parts, string(u.Resource)+" "+part)
		}
		d.say("%-4s uses %s", ns, strings.Join(parts, ", "))
	}
	return nil
}

func (d *day) say(format string, args ...any) {
	fmt.Fprintf(&d.out, d.now.Format("15:04  ")+format+"\n", args...)
}

func instance(cores, gib int64) placement.Amounts {
	return placement.OneInstance(placement.Resources{CPU: cores * placement.Core, Memory: gib * placement.GiB})
}

func quantity(name placement.ResourceName, amount int64) string {
	return placement.FormatQuantity(name, amount)
}
