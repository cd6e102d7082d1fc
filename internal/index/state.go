package index

// NodeState says whether a node takes work.
type NodeState uint8

// The states of a node. Only Ready nodes take work.
const (
	Ready NodeState = iota
	Cordoned
	Lost
	Unreported
	Closed // for maintenance
)

// String returns the state's name in lower case.
func (s NodeState) String() string {
	switch s {
	case Ready:
		return "ready"
	case Cordoned:
		return "cordoned"
	case Lost:
		return "lost"
	case Unreported:
		return "unreported"
	default:
		return "closed for maintenance"
	}
}
