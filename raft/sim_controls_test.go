package raft

// Control switches one rule off, to show that a test would notice.
type Control struct {
	Rule string
	Off  func(c *Core)
}

// Controls are those that random faults can catch within seconds, each to be
// applied to every core that starts. TestNegativeControls has all of them, with
// a schedule for each.
func Controls() []Control {
	return []Control{
		{"rule 1: a promise survives a term", func(c *Core) { c.faults.clearPromiseOnTerm = true }},
		{"rule 1: no campaign while bound", func(c *Core) { c.faults.campaignWhileBound = true }},
		{"rule 2: lease from the sending", func(c *Core) { c.faults.leaseFromReceipt = true }},
		{"rule 2: margin of twice the skew", func(c *Core) { c.lease = c.cfg.ElectionTimeoutMin }},
		{"rule 4: silence after a restart", func(c *Core) { c.faults.noBlackout, c.promise = true, promise{} }},
		{"rule 4: promises as long as asked", func(c *Core) { c.faults.ownPromiseLength = true }},
		{"rule 5: no lease after TimeoutNow", func(c *Core) { c.faults.renewAfterTransfer = true }},
		{"rule 6: a grant ends the pre-campaign", func(c *Core) { c.faults.keepPreCampaign = true }},
		{"rule 8: votes are a set", func(c *Core) { c.faults.countDuplicateVotes = true }},
		{"rule 8: the vote survives a heartbeat", func(c *Core) { c.faults.resetVoteOnEqualTerm = true }},
		{"rule 17: no vote for an older configuration", func(c *Core) { c.faults.ignoreConfigurationID = true }},
		{"rule 18: quorum before a change", func(c *Core) { c.faults.reconfigUnconfirmed = true }},
		{"rule 19: hear unknown candidates", func(c *Core) { c.faults.dropUnknownCandidates = true }},
		{"rule 19: ask for newer bindings", func(c *Core) { c.faults.keepOldBindings = true }},
		{"rule 17: who does not stand shows its configuration", func(c *Core) { c.faults.hideConfiguration = true }},
		{"rule 8: answers count for who has asked", func(c *Core) { c.faults.countStrayAnswers = true }},
		{"rule 15: bind the store that answers", func(c *Core) { c.faults.bindLateStores = true }},
		{"rule 16: no vote before the own store is named", func(c *Core) { c.faults.voteUnnamed = true }},
		{"rule 25: no vote for a log that lacks something", func(c *Core) { c.faults.voteForShorterLogs = true }},
		{"rule 27: a reign begins with its start applied", func(c *Core) { c.faults.reignBeforeStart = true }},
		{"rule 28: the leader counts what it has saved", func(c *Core) { c.faults.countUnsaved = true }},
		{"rule 28: a follower answers what it has saved", func(c *Core) { c.faults.answerUnsaved = true }},
		{"rule 28: commit what is known to be the leader's", func(c *Core) { c.faults.commitUnverified = true }},
		{"rule 29: send again what was lost", func(c *Core) { c.faults.neverSendAgain = true }},
		{"rule 29: entries follow what the leader has", func(c *Core) { c.faults.appendUnchecked = true }},
		{"rule 33: who does not stand hands on what it has", func(c *Core) { c.faults.neverBridge = true }},
		{"rule 4: a promise stays on record while it binds", func(c *Core) { c.faults.forgetPromises = true }},
	}
}
