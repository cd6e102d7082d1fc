package outbox

// A Signal tells one goroutine that something has happened since it last
// looked.
type Signal chan struct{}

// NewSignal returns a signal that has not been given.
func NewSignal() Signal { return make(Signal, 1) }

// Give makes the channel yield at least once more. It never blocks.
func (s Signal) Give() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Forget takes back what Give did, if nobody has seen it yet.
func (s Signal) Forget() {
	select {
	case <-s:
	default:
	}
}
