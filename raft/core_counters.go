package raft

// Counters count what happened in one Core since it began.
type Counters struct {
	// PreCampaigns and Campaigns were started by this node.
	PreCampaigns uint64 `json:"preCampaigns"`
	Campaigns    uint64 `json:"campaigns"`
	// Wins are terms won, Reigns those that led to a valid lease.
	Wins   uint64 `json:"wins"`
	Reigns uint64 `json:"reigns"`
	// Grants are votes given to others.
	Grants uint64 `json:"grants"`
	// Dropped counts messages that changed nothing, by what was wrong with them.
	Dropped Dropped `json:"dropped"`
}

// Dropped counts messages that a Core has ignored (rule 11 of PROTOCOL.md).
type Dropped struct {
	// Malformed messages are such as no member sends: unknown kinds, missing
	// names, a term of 0, at the limit or too far ahead, an invalid configuration.
	Malformed uint64 `json:"malformed"`
	// Foreign messages are of another cluster, or not for this node.
	Foreign uint64 `json:"foreign"`
	// Unknown senders are named neither in the own configuration nor in a newer
	// one that they carry (rule 19).
	Unknown uint64 `json:"unknown"`
	// Wiped senders speak from another store than the one bound to their name.
	Wiped uint64 `json:"wiped"`
	// Twins are two processes that speak under one name (rule 15).
	Twins uint64 `json:"twins"`
	// Restored messages are of a store whose later state was heard before.
	Restored uint64 `json:"restored"`
	// Late messages are of an earlier process of their sender, or answers to an
	// earlier process of this node.
	Late uint64 `json:"late"`
	// Conflicting messages name the own configuration with another digest, or a
	// second leader of one term.
	Conflicting uint64 `json:"conflicting"`
	// Unsupported messages carry a configuration of a level not spoken here.
	Unsupported uint64 `json:"unsupported"`
}
