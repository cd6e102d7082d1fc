package scheduler

import (
	"time"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// A snapshot is a stream of items, in an order that depends on nothing but the
// state, so that equal states have equal bytes. The stream is cut into parts; see
// partFields.

// snapshotItem is an item of the stream.
type snapshotItem interface {
	// fields describes the item.
	fields(*codec.Coder)
	// restore brings a state that is being restored to have the item.
	restore(*restorer) error
}

func itemFields(c *codec.Coder, item *snapshotItem) { (*item).fields(c) }

// itemKind is the number of a kind of items. They come in this order, but for
// nodes: each has its instances behind it, and each class stands before the first
// instance of it.
type itemKind int

const (
	itemHead        itemKind = 1
	itemReleased    itemKind = 2 // the oldest first
	itemNode        itemKind = 3 // by join
	itemClass       itemKind = 4
	itemInstance    itemKind = 5  // of a node, by ID and generation
	itemQuota       itemKind = 6  // by namespace
	itemAccount     itemKind = 7  // by namespace
	itemSeries      itemKind = 8  // by ID
	itemReservation itemKind = 9  // by ID
	itemStay        itemKind = 10 // by ID
	itemUnsettled   itemKind = 11 // by ID
	itemPast        itemKind = 12 // the oldest first
)

func (k itemKind) String() string {
	switch k {
	case itemHead:
		return "head"
	case itemReleased:
		return "released"
	case itemNode:
		return "node"
	case itemClass:
		return "class"
	case itemInstance:
		return "instance"
	case itemQuota:
		return "quota"
	case itemAccount:
		return "account"
	case itemSeries:
		return "series"
	case itemReservation:
		return "reservation"
	case itemStay:
		return "stay"
	case itemUnsettled:
		return "unsettled"
	case itemPast:
		return "past"
	default:
		return "unknown"
	}
}

// follows reports whether an item may come after one of another kind, or first if
// that is 0.
func (k itemKind) follows(other itemKind) bool {
	amongNodes := func(k itemKind) bool { return k >= itemNode && k <= itemInstance }
	switch {
	case other == 0 || k == itemHead:
		return other == 0 && k == itemHead
	default:
		return k >= other || amongNodes(k) && amongNodes(other)
	}
}

// snapshotItems has an item of each kind, to be used again: there are millions.
type snapshotItems struct {
	head        headItem
	released    releasedItem
	node        nodeItem
	class       classItem
	instance    instanceItem
	quota       quotaItem
	account     accountItem
	series      seriesItem
	reservation reservationItem
	stay        stayItem
	unsettled   unsettledItem
	past        pastItem
}

// empty returns the item of a kind with nothing in it, nil if the kind is unknown.
func (s *snapshotItems) empty(kind itemKind) snapshotItem {
	switch kind {
	case itemHead:
		return cleared(&s.head)
	case itemReleased:
		return cleared(&s.released)
	case itemNode:
		return cleared(&s.node)
	case itemClass:
		return cleared(&s.class)
	case itemInstance:
		return cleared(&s.instance)
	case itemQuota:
		return cleared(&s.quota)
	case itemAccount:
		return cleared(&s.account)
	case itemSeries:
		return cleared(&s.series)
	case itemReservation:
		return cleared(&s.reservation)
	case itemStay:
		return cleared(&s.stay)
	case itemUnsettled:
		return cleared(&s.unsettled)
	case itemPast:
		return cleared(&s.past)
	default:
		return nil
	}
}

func cleared[T any](v *T) *T {
	var zero T
	*v = zero
	return v
}

// headItem is what the state has of itself, and how much is to come.
type headItem struct {
	Seq       uint64          `json:"seq"`
	Time      time.Time       `json:"time"`
	Token     uint64          `json:"token,omitempty"`
	Joins     uint64          `json:"joins,omitempty"`
	Created   uint64          `json:"created,omitempty"` // reservations ever
	Nodes     int             `json:"nodes,omitempty"`
	Instances int             `json:"instances,omitempty"`
	Workload  []WorkloadClass `json:"workload,omitempty"`
}

func (i *headItem) fields(c *codec.Coder) {
	codec.Int(c, 1, &i.Seq)
	codec.Time(c, 2, &i.Time)
	codec.Int(c, 3, &i.Token)
	codec.Int(c, 4, &i.Joins)
	codec.Int(c, 5, &i.Created)
	codec.Int(c, 6, &i.Nodes)
	codec.Int(c, 7, &i.Instances)
	codec.List(c, 8, &i.Workload, workloadFields)
}

type releasedItem struct {
	ID string `json:"id"`
}

func (i *releasedItem) fields(c *codec.Coder) { codec.Text(c, 1, &i.ID) }

type nodeItem struct {
	Node       placement.Node `json:"node"`
	Join       uint64         `json:"join"`
	Version    uint64         `json:"version"`
	Cordoned   bool           `json:"cordoned,omitempty"`
	Lost       bool           `json:"lost,omitempty"`
	Unreported bool           `json:"unreported,omitempty"` // waits for AdoptNode
	Tainted    []time.Time    `json:"tainted,omitempty"`    // since when it has each taint
}

func (i *nodeItem) fields(c *codec.Coder) {
	codec.Message(c, 1, &i.Node, nodeFields)
	codec.Int(c, 2, &i.Join)
	codec.Int(c, 3, &i.Version)
	codec.Bool(c, 4, &i.Cordoned)
	codec.Bool(c, 5, &i.Lost)
	codec.Bool(c, 6, &i.Unreported)
	codec.List(c, 7, &i.Tainted, codec.Instant)
}

// classItem is what instances have in common: a request without ID and
// resources. Classes are numbered from 0 as they come.
type classItem struct {
	Request placement.Request `json:"request"`
}

func (i *classItem) fields(c *codec.Coder) { codec.Message(c, 1, &i.Request, rulesFields) }

// instanceItem is an instance on the node before it.
type instanceItem struct {
	ID         string               `json:"id"`
	Class      int                  `json:"class"`
	Resources  placement.Resources  `json:"resources,omitzero"`
	Asked      *placement.Resources `json:"asked,omitempty"` // by the request, if a resize changed it
	Devices    []uint16             `json:"devices,omitempty"`
	Placed     time.Time            `json:"placed"`
	Generation uint64               `json:"generation"`
	Version    uint64               `json:"version"`
	Token      uint64               `json:"token,omitempty"`
	Score      uint16               `json:"score"`
	State      allocationState      `json:"state,omitempty"`
	Overstayed bool                 `json:"overstayed,omitempty"`
	Ports      []uint16             `json:"dynamicPorts,omitempty"`
	Leaving    bool                 `json:"leaving,omitempty"`
}

func (i *instanceItem) fields(c *codec.Coder) {
	codec.Text(c, 1, &i.ID)
	codec.Int(c, 2, &i.Class)
	codec.Message(c, 3, &i.Resources, resourcesFields)
	codec.Optional(c, 4, &i.Asked, resourcesFields)
	codec.Ints(c, 5, &i.Devices)
	codec.Time(c, 6, &i.Placed)
	codec.Int(c, 7, &i.Generation)
	codec.Int(c, 8, &i.Version)
	codec.Int(c, 9, &i.Token)
	codec.Int(c, 10, &i.Score)
	codec.Int(c, 11, &i.State)
	codec.Bool(c, 12, &i.Overstayed)
	codec.Ints(c, 13, &i.Ports)
	codec.Bool(c, 14, &i.Leaving)
}

// quotaItem is a quota and the version of its spec.
type quotaItem struct {
	Spec    quota.Spec `json:"spec"`
	Version uint64     `json:"version"`
}

func (i *quotaItem) fields(c *codec.Coder) {
	codec.Message(c, 1, &i.Spec, quotaFields)
	codec.Int(c, 2, &i.Version)
}

type accountItem struct{ quota.AccountState }

func (i *accountItem) fields(c *codec.Coder) { accountFields(c, &i.AccountState) }

// seriesItem is a reservation that repeats, as it was asked for.
type seriesItem struct{ reservation.Spec }

func (i *seriesItem) fields(c *codec.Coder) { reservationSpecFields(c, &i.Spec) }

type reservationItem struct{ reservation.Reservation }

func (i *reservationItem) fields(c *codec.Coder) { reservationFields(c, &i.Reservation) }

// stayItem is an instance that leaves at a known time, or when asked to.
type stayItem struct{ reservation.Stay }

func (i *stayItem) fields(c *codec.Coder) { stayFields(c, &i.Stay) }

// unsettledItem names a reservation whose slots are to be looked at again.
type unsettledItem struct {
	ID string `json:"id"`
}

func (i *unsettledItem) fields(c *codec.Coder) { codec.Text(c, 1, &i.ID) }

type pastItem struct{ reservation.PastReservation }

func (i *pastItem) fields(c *codec.Coder) { pastFields(c, &i.PastReservation) }
