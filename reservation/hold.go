package reservation

import (
	"iter"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/skyline"
	"github.com/rads-project/constellation/placement"
)

// hold is a load on one node over a window of time. Plan counts holds and
// nothing else: a slot is a hold, and so is an instance.
type hold struct {
	// Node that Load is on, over Window.
	Node   string
	Window Window
	Load   placement.Amounts
	// Devices are the indices of the GPUs that Load.Resources.GPU is of: all of
	// a whole number of devices, or the one that a fraction is of.
	Devices []int
	// Strategy by which they are chosen where Devices names none.
	Strategy placement.Strategy
	kind     standing
	// settled says that it is there already: of maintenance only what has begun
	// is in its way.
	settled bool
}

// standing says beside what a load may stand at this moment.
type standing uint8

const (
	// firm loads stand beside everything.
	firm standing = iota
	// lent ones are slots in which instances that yield may stand.
	lent
	// yielding ones are the instances that may stand in those. They are counted
	// apart, since whoever begins later does not reckon with them.
	yielding
	// endless ones are other instances that do not say when they leave.
	endless
	// closing ones are maintenance: nothing new stands beside them.
	closing
)

// Room is what a node gives and what is used on it by instances that the Plan
// does not count. The host knows both.
type Room struct {
	// Allocatable amounts, as placement.Node.Allocatable.
	Allocatable placement.Resources
	// MaxInstances caps the instances; 0 is no cap.
	MaxInstances int64
	// Used by instances unknown to the Plan. Its GPU is not looked at.
	Used placement.Amounts
	// Devices has one entry per GPU: thousandths of it that are used by
	// instances unknown to the Plan.
	Devices []int64
	// Broken are the indices of GPUs that take nothing new, sorted. What is on
	// them stays.
	Broken []int
}

// works reports whether a GPU takes anything new.
func (r *Room) works(device int) bool {
	_, broken := slices.BinarySearch(r.Broken, device)
	return !broken
}

// deviceShare returns what a load takes of each device that it is on.
func deviceShare(gpu int64) int64 { return min(gpu, placement.Device) }

// lane is one thing that is counted on a node: a dimension, or one GPU.
type lane struct {
	name   placement.ResourceName
	device int
}

// maintenance is the lane of windows in which a node is closed.
func maintenance() lane { return lane{} }

// amounts yields what the hold puts on each lane.
func (h *hold) amounts() iter.Seq2[lane, int64] {
	return func(yield func(lane, int64) bool) {
		if h.kind == closing {
			yield(maintenance(), 1)
			return
		}
		for name, amount := range h.Load.Resources.All() {
			if amount != 0 && name != placement.NameGPU && !yield(lane{name: name}, amount) {
				return
			}
		}
		if h.Load.Instances != 0 && !yield(lane{name: placement.NameInstances}, h.Load.Instances) {
			return
		}
		for _, device := range h.Devices {
			if !yield(lane{placement.NameGPU, device}, deviceShare(h.Load.Resources.GPU)) {
				return
			}
		}
	}
}

// Window is a closed-open interval of time: Start belongs to it, End does not. A zero
// End means forever. Times are exact to the nanosecond and lie between 1678 and 2261; a
// call that needs any other time is refused with an ErrInvalid.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
}

// String writes the window as [start, end).
func (w Window) String() string {
	end := "∞"
	if !w.End.IsZero() {
		end = w.End.Format(time.RFC3339Nano)
	}
	return "[" + w.Start.Format(time.RFC3339Nano) + ", " + end + ")"
}

// Overlaps reports whether the windows share an instant.
func (w Window) Overlaps(other Window) bool {
	return w.start() < other.end() && other.start() < w.end()
}

func (w Window) start() int64 { return nanos(w.Start) }

func (w Window) end() int64 {
	if w.End.IsZero() {
		return forever
	}
	return nanos(w.End)
}

// shifted returns the window moved so that it begins at start. It reports
// false if the end would be out of range.
func (w Window) shifted(start int64) (Window, bool) {
	from, to := w.start(), w.end()
	if to == forever {
		return Window{Start: instant(start)}, true
	}
	end, ok := addNanos(start, time.Duration(to-from))
	return Window{Start: instant(start), End: instant(end)}, ok
}

// Inside the package an instant is a number of nanoseconds since 1970, so that
// windows are exact and skylines quick.
const forever = skyline.Forever // later than any instant; -forever is earlier

// inRange reports whether t is an instant that can be counted.
func inRange(t time.Time) bool { return instant(nanos(t)).Equal(t) }

func nanos(t time.Time) int64 { return skyline.Nanos(t) }

func instant(n int64) time.Time { return skyline.Time(n) }

// addNanos returns n + d for d ≥ 0, and false if either is out of range.
func addNanos(n int64, d time.Duration) (int64, bool) {
	sum := n + int64(d)
	return sum, n > -forever && sum >= n && sum < forever
}

// subNanos returns n - d for d ≥ 0, -forever if that is out of range.
func subNanos(n int64, d time.Duration) int64 {
	if difference := n - int64(d); difference <= n {
		return difference
	}
	return -forever
}
