package reservation_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// clock is a clock for examples.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func (c *clock) set(hour, minute int) { c.now = today(hour, minute) }

func today(hour, minute int) time.Time { return time.Date(2030, 1, 1, hour, minute, 0, 0, time.UTC) }

// must keeps examples short.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// open returns a book at eight o'clock with nodes of 8 cores.
func open(ids ...string) (*reservation.Book, *clock) {
	c := &clock{today(8, 0)}
	book := must(reservation.New(reservation.Config{Now: c.read}))
	for _, id := range ids {
		node := placement.Node{
			ID: id, Capacity: placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB},
			Devices: placement.Devices{Count: 2, Model: "a100"},
		}
		if err := book.SetNode(node); err != nil {
			panic(err)
		}
	}
	return book, c
}

func report(book *reservation.Book) {
	for _, e := range book.Sweep() {
		fmt.Println(strings.TrimSpace(fmt.Sprintln(e.At.Format("15:04"), e.Kind, e.Reservation, e.Instance)))
	}
}

func Example() {
	book, clock := open("n1")
	r, err := book.Reserve(reservation.Spec{
		ID: "launch", Namespace: "shop", Count: 1, Shape: placement.Resources{CPU: 6 * placement.Core},
		Start: today(9, 0), Duration: time.Hour,
	})
	fmt.Println(r.State(), r.Slots[0].Node, err)

	clock.set(9, 0)
	node, _, err := book.Claim("launch", placement.Request{
		ID: "web-1", Namespace: "shop", Resources: placement.Resources{CPU: 4 * placement.Core},
	})
	fmt.Println(node, err)

	clock.set(10, 0)
	report(book)
	// Output:
	// pending n1 <nil>
	// n1 <nil>
	// 09:00 started launch
	// 10:00 over launch
	// 10:00 overstayed launch web-1
}

func ExampleBook_Place() {
	book, _ := open("n1")
	must(book.Reserve(reservation.Spec{
		ID: "launch", Namespace: "shop", Count: 1, Shape: placement.Resources{CPU: 6 * placement.Core},
		Start: today(9, 0), Duration: time.Hour,
	}))
	batch := placement.Request{ID: "batch", Resources: placement.Resources{CPU: 8 * placement.Core}, Duration: 2 * time.Hour}
	_, err := book.Place(batch)
	if refused, ok := errors.AsType[*reservation.RefusedError](err); ok {
		fmt.Println("in the way:", refused.Holders[0].ID)
		fmt.Println("would fit:", refused.Largest)
		fmt.Println("earliest start:", refused.Earliest.Format("15:04"))
	}
	batch.Duration = time.Hour
	stay, err := book.Place(batch)
	fmt.Println(stay.Node, stay.Window.End.Format("15:04"), err)
	// Output:
	// in the way: launch
	// would fit: cpu=2
	// earliest start: 10:00
	// n1 09:00 <nil>
}

func ExampleBook_Place_yield() {
	book, clock := open("n1")
	must(book.Reserve(reservation.Spec{
		ID: "launch", Namespace: "shop", Count: 1, Shape: placement.Resources{CPU: 6 * placement.Core},
		Start: today(9, 0), Duration: time.Hour, Notice: 5 * time.Minute,
	}))
	must(book.Place(placement.Request{ID: "crawler", Resources: placement.Resources{CPU: 4 * placement.Core}, Yield: true}))
	clock.set(8, 55)
	for _, e := range book.Sweep() {
		fmt.Println(e.At.Format("15:04"), e.Kind, e.Instance, "by", e.Due.Format("15:04"))
	}
	// Output:
	// 08:55 noticed  by 09:00
	// 08:55 yield-due crawler by 09:00
}

func ExampleBook_Attach() {
	book, _ := open("n1")
	web := placement.Request{ID: "web", Resources: placement.Resources{CPU: 2 * placement.Core}}
	stay, err := book.Place(web)
	if err != nil {
		fmt.Println(err)
	}
	must(book.Reserve(reservation.Spec{
		ID: "launch", Count: 1, Shape: placement.Resources{CPU: 6 * placement.Core}, Duration: time.Hour,
	}))
	node, claim, _ := book.Attach("launch", "web")
	fmt.Println("where it was:", node == stay.Node)
	fmt.Println("from the slot:", claim.Held.Resources)
	// Output:
	// where it was: true
	// from the slot: cpu=2
}

func ExampleBook_Claim() {
	book, _ := open("n1")
	must(book.Reserve(reservation.Spec{
		ID: "pool", Namespace: "ci", Owners: []string{"builds"}, Count: 1,
		Shape: placement.Resources{CPU: 6 * placement.Core}, Duration: time.Hour,
	}))
	build := placement.Request{
		ID: "build-1", Namespace: "builds", Resources: placement.Resources{CPU: 4 * placement.Core, Memory: placement.GiB},
	}
	_, claim, _ := book.Claim("pool", build)
	fmt.Println("from the slot:", claim.Held.Resources)
	fmt.Println("from the node:", claim.Excess.Resources)

	build.ID = "build-2"
	_, _, err := book.Claim("pool", build)
	fmt.Println(err)

	build.Namespace = "strangers"
	_, _, err = book.Claim("pool", build)
	fmt.Println(err)

	fmt.Println(book.Unclaim("build-1"))
	// Output:
	// from the slot: cpu=4
	// from the node: memory=1GiB
	// reservation: "pool" has no slot for cpu=4 memory=1GiB: cpu=2 left, short of cpu
	// reservation: "pool" is not for namespace "strangers" but for ["builds"]
	// <nil>
}

func ExampleBook_Extend() {
	book, _ := open("n1")
	whole := reservation.Spec{
		ID: "first", Count: 1, Shape: placement.Resources{CPU: 8 * placement.Core}, Duration: time.Hour,
	}
	must(book.Reserve(whole))
	whole.ID, whole.Start = "second", today(9, 30)
	must(book.Reserve(whole))

	r, err := book.Extend("first", today(9, 30))
	fmt.Println(r.Params.End.Format("15:04"), err)
	_, err = book.Extend("first", today(9, 45))
	var refused *reservation.RefusedError
	fmt.Println(errors.As(err, &refused), refused.Holders[0].ID)
	// Output:
	// 09:30 <nil>
	// true second
}

func ExampleBook_Resize() {
	book, _ := open("n1")
	must(book.Reserve(reservation.Spec{
		ID: "pool", Count: 2, Shape: placement.Resources{CPU: 2 * placement.Core}, Duration: time.Hour,
	}))
	r, err := book.Resize("pool", placement.Resources{CPU: 4 * placement.Core}, 0)
	fmt.Println(r.Params.Count, "×", r.Params.Shape, err)
	r, err = book.Resize("pool", placement.Resources{}, 1)
	fmt.Println(r.Params.Count, "×", r.Params.Shape, err)
	// Output:
	// 2 × cpu=4 <nil>
	// 1 × cpu=4 <nil>
}

func ExampleBook_Reserve_priority() {
	book, _ := open("n1")
	spec := reservation.Spec{
		ID: "low", Count: 1, Shape: placement.Resources{CPU: 8 * placement.Core}, Duration: time.Hour,
	}
	must(book.Reserve(spec))
	spec.ID, spec.Priority = "high", 10
	must(book.Reserve(spec))
	for r := range book.Reservations() {
		fmt.Println(r.Spec.ID, r.State())
	}
	// Output:
	// high active
	// low displaced
}

func ExampleBook_Reserve_devices() {
	book, _ := open("n1")
	gpu := func(id string, milli int64) {
		r := must(book.Reserve(reservation.Spec{
			ID: id, Count: 1, Shape: placement.Resources{GPU: milli}, Duration: time.Hour,
		}))
		fmt.Println(id, r.Slots[0].Devices)
	}
	gpu("quarter", placement.Device/4)
	gpu("whole", placement.Device)
	gpu("half", placement.Device/2)
	// Output:
	// quarter [0]
	// whole [1]
	// half [0]
}

func ExampleBook_RemoveNode() {
	book, _ := open("n1", "n2")
	must(book.Reserve(reservation.Spec{
		ID: "pool", Count: 2, Shape: placement.Resources{CPU: 4 * placement.Core}, Duration: time.Hour,
	}))
	book.Sweep()
	fmt.Println(book.RemoveNode("n1"))
	for _, e := range book.Sweep() {
		fmt.Println(e.Kind, e.From, e.Node)
	}
	fmt.Println(book.RemoveNode("n2"))
	r := must(book.Reservation("pool"))
	fmt.Println(r.State(), r.Missing())
	// Output:
	// <nil>
	// slot-moved n1 n2
	// slot-moved n1 n2
	// <nil>
	// displaced 2
}

func ExampleAtEnd() {
	for _, atEnd := range []reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep} {
		book, clock := open("n1")
		spec := reservation.Spec{
			ID: "pool", Count: 1, Shape: placement.Resources{CPU: 8 * placement.Core}, Duration: time.Hour, AtEnd: atEnd,
		}
		if atEnd == reservation.Evict {
			spec.Grace = 10 * time.Minute
		}
		must(book.Reserve(spec))
		if _, _, err := book.Claim("pool", placement.Request{ID: "web"}); err != nil {
			panic(err)
		}
		book.Sweep()
		clock.set(9, 30)
		fmt.Println(atEnd)
		report(book)
	}
	// Output:
	// drain
	// 09:00 over pool
	// 09:00 overstayed pool web
	// evict
	// 09:00 expired pool
	// 09:10 eviction-due pool web
	// 09:10 over pool
	// keep
	// 09:00 over pool
}

// A host that keeps quotas and a journal embeds a Plan: it decides, charges
// and writes down before anything changes.
func ExamplePlan() {
	_, clock := open()
	plan := reservation.NewPlan()
	plan.Advance(clock.now)
	nodes := oneNode{}

	changes, err := plan.Reserve(nodes, reservation.Spec{
		ID: "pool", Namespace: "ci", Count: 2, Shape: placement.Resources{CPU: 2 * placement.Core}, Duration: time.Hour,
	})
	fmt.Println(err, changes[0].Kind, changes[0].Reservation.Owes().Resources)
	fmt.Println("not yet:", plan.Owes("pool").Resources)
	plan.Apply(changes...)
	fmt.Println("now:", plan.Owes("pool").Resources)

	peak, _ := plan.Peak("n1", reservation.Window{Start: plan.Now()})
	fmt.Println("held:", peak.Resources)
	for _, e := range plan.Advance(today(9, 0)) {
		fmt.Println(e.Kind, e.Reservation, plan.Owes(e.Reservation).Resources)
	}
	// Output:
	// <nil> put cpu=4
	// not yet: none
	// now: cpu=4
	// held: cpu=4
	// over pool none
}

// A slot whose node is lost stays owed. A disturbance that passes costs nothing
// but the time that it lasted.
func ExampleBook_SetNode_owedSlot() {
	now := time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC)
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	n1 := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}
	if err := book.SetNode(n1); err != nil {
		panic(err)
	}
	r, err := book.Reserve(reservation.Spec{
		ID: "launch", Namespace: "team", Count: 1, Shape: placement.Resources{CPU: 8 * placement.Core}, Duration: time.Hour,
	})
	fmt.Println(r.State(), err)
	fmt.Println(book.RemoveNode("n1"))
	r, err = book.Reservation("launch")
	fmt.Println(r.State(), err)
	fmt.Println(book.SetNode(n1))
	r, err = book.Reservation("launch")
	fmt.Println(r.State(), err)
	// Output:
	// active <nil>
	// <nil>
	// displaced <nil>
	// <nil>
	// active <nil>
}
