package quota

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
)

// The decisions that a caller can take on an error. Each is what a struct with
// the data unwraps to.
var (
	// ErrExceeded: a limit refuses the charge. See ExceededError.
	ErrExceeded = errors.New("quota: exceeded")
	// ErrNotCharged: there is no such charge. See NotChargedError.
	ErrNotCharged = errors.New("quota: not charged")
	// ErrDrift: usage is not the sum of the charges. See DriftError.
	ErrDrift = errors.New("quota: usage differs from the charges")
)

// The decisions that are the same in all packages: these are the values of
// package placement.
var (
	// ErrConflict: something else exists under that name. See ConflictError, and
	// placement.IDError for a spec.
	ErrConflict = placement.ErrConflict
	// ErrNotFound: the namespace has no spec. See placement.IDError.
	ErrNotFound = placement.ErrNotFound
	// ErrInUse: the spec cannot be deleted yet. See InUseError.
	ErrInUse = placement.ErrInUse
	// ErrInvalid: the input is wrong and would be at any time. See
	// placement.InvalidError.
	ErrInvalid = placement.ErrInvalid
)

// ExceededError is a charge that was refused.
type ExceededError struct {
	// Namespace that was to be charged.
	Namespace string `json:"namespace"`
	// Verdict lists every violation.
	Verdict Verdict `json:"verdict"`
	// Version of the ledger at the refusal: Ledger.Wait takes it to wait for the
	// next change. Accounts leave it 0.
	Version uint64 `json:"version"`
}

// Error names every violation, and the earliest start if one is known.
func (e *ExceededError) Error() string {
	texts := make([]string, len(e.Verdict.Violations))
	for i, violation := range e.Verdict.Violations {
		texts[i] = violation.String()
	}
	if earliest := e.Verdict.Earliest(); !earliest.IsZero() {
		texts = append(texts, "the earliest start is "+earliest.Format(time.RFC3339Nano))
	}
	return fmt.Sprintf("quota: %q cannot be charged: %s", e.Namespace, strings.Join(texts, "; "))
}

// Unwrap returns ErrExceeded.
func (e *ExceededError) Unwrap() error { return ErrExceeded }

// ConflictError is another charge under the same ID.
type ConflictError struct {
	// Namespace and ID of the charge.
	Namespace string `json:"namespace"`
	ID        string `json:"id"`
	// Charged is what is charged under that ID.
	Charged placement.Amounts `json:"charged"`
}

// Error says what exists already.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("quota: %q is charged %s for %q already", e.Namespace, e.Charged, e.ID)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// NotChargedError is a charge that does not exist.
type NotChargedError struct {
	// Namespace that was said to be charged.
	Namespace string `json:"namespace"`
	// ID of the charge; Accounts do not know it and leave it empty.
	ID string `json:"id"`
}

// Error names the charge.
func (e *NotChargedError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("quota: %.256q is not charged that much", e.Namespace)
	}
	return fmt.Sprintf("quota: %.256q is not charged for %.256q", e.Namespace, e.ID)
}

// Unwrap returns ErrNotCharged.
func (e *NotChargedError) Unwrap() error { return ErrNotCharged }

// User is what uses a spec, so that it cannot be deleted.
type User string

// What can use a spec.
const (
	// ByCharges: the namespace is charged.
	ByCharges User = "charges"
	// ByChildren: specs name it as their parent.
	ByChildren User = "children"
	// ByDefaulted: it is the default, and namespaces without a spec of their
	// own are charged.
	ByDefaulted User = "namespaces without a spec of their own"
)

// InUseError is a spec that cannot be deleted.
type InUseError struct {
	// Namespace of the spec.
	Namespace string `json:"namespace"`
	// By is what uses it. If several do, it is the first in the order of their
	// constants.
	By User `json:"by"`
	// Count of the users.
	Count int `json:"count"`
	// IDs of the first three users in order: charges or namespaces. Accounts
	// do not know the IDs of charges and leave them out.
	IDs []string `json:"ids,omitempty"`
}

// Error says what uses the spec.
func (e *InUseError) Error() string {
	text := fmt.Sprintf("quota: namespace %q still has %s, %d in all", e.Namespace, e.By, e.Count)
	if len(e.IDs) == 0 {
		return text
	}
	quoted := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		quoted[i] = strconv.Quote(id)
	}
	text += ": " + strings.Join(quoted, ", ")
	if e.Count > len(e.IDs) {
		text += " and others"
	}
	return text
}

// Unwrap returns ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

func invalid(field, value, reason string) error {
	return &placement.InvalidError{Field: field, Value: value, Reason: reason}
}

// DriftError is a usage that is not the sum of the charges. It shows a fault
// in this package, or that Accounts were charged for more or less than exists.
type DriftError struct {
	// Namespace whose usage is wrong.
	Namespace string `json:"namespace"`
	// Resource in which it is; empty if the number of charges is.
	Resource placement.ResourceName `json:"resource,omitempty"`
	// At is the instant at which it is, zero for now.
	At time.Time `json:"at,omitzero"`
	// Used is the usage that is kept, Charged the sum of the charges; at another
	// instant, by how much more it is then.
	Used    int64 `json:"used"`
	Charged int64 `json:"charged"`
}

// Error compares both.
func (e *DriftError) Error() string {
	what := string(e.Resource)
	if what == "" {
		what = "number of charges"
	}
	if !e.At.IsZero() {
		what += " ahead at " + e.At.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("quota: the books of %q have a %s of %d, the charges %d", e.Namespace, what, e.Used, e.Charged)
}

// Unwrap returns ErrDrift.
func (e *DriftError) Unwrap() error { return ErrDrift }
