package transport

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
)

// MemoryConfig configures a [Memory]. The zero value is a perfect network.
type MemoryConfig struct {
	// Seed determines the faults. Each link, in each direction, draws from a
	// random sequence of its own, so what happens to the nth frame of a link
	// does not depend on other links.
	Seed uint64
	// Faults hold for every link until they are changed.
	Faults Faults
	// MaxFrame is the longest frame in bytes. Zero is [DefaultMaxFrame].
	MaxFrame int
}

// Memory is a network within one process. Members join it by name; faults,
// cuts and partitions may change at any time. Time is that of the goroutines
// that use it, so in a testing/synctest bubble it is the bubble's.
type Memory struct {
	origin   time.Time
	maxFrame int

	mu      sync.Mutex
	model   *faultnet.Model
	members map[string]*Endpoint
	// seq numbers frames in the order of sending.
	seq uint64
	// times is scratch space for the model's answers.
	times []time.Duration
}

// NewMemory returns a network without members. All mistakes in cfg are
// reported, joined. It takes constant time.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	var sizeErr error
	if cfg.MaxFrame < 0 {
		sizeErr = fmt.Errorf("transport: negative MaxFrame %d", cfg.MaxFrame)
	}
	model, err := faultnet.New(cfg.Seed, faultnet.Faults(cfg.Faults))
	if err := errors.Join(sizeErr, err); err != nil {
		return nil, err
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = DefaultMaxFrame
	}
	return &Memory{
		origin:   time.Now(),
		maxFrame: cfg.MaxFrame,
		model:    model,
		members:  map[string]*Endpoint{},
	}, nil
}

// Join makes the endpoint of the member name. From then on the others can
// send to it, and up to [QueueFrames] frames from each wait for its Serve. A
// member restarts by joining again once its Serve has returned; before that
// Join returns [ErrNameTaken]. It takes constant time.
func (m *Memory) Join(name string) (*Endpoint, error) {
	if name == "" {
		return nil, errors.New("transport: a member needs a name")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.members[name]; e != nil && e.phase != closed {
		return nil, fmt.Errorf("%w: %q", ErrNameTaken, name)
	}
	e := &Endpoint{
		net:   m,
		name:  name,
		wake:  make(chan struct{}, 1),
		peers: map[string]*peer{},
	}
	m.members[name] = e
	return e, nil
}

func (m *Memory) now() time.Duration { return time.Since(m.origin) }
