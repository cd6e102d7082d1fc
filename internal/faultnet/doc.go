// Package faultnet models a network that delays, loses, duplicates and
// reorders messages and whose links can be cut. It is pure arithmetic: given
// the time, the two ends and the size of a message, a [Model] answers when
// that message arrives, if at all. It delivers nothing itself; the in-process
// transport and the election simulator do that, each with its own clock.
//
// # Concurrency
//
// A Model is not safe for concurrent use: its owner's mutex guards it.
//
// # Determinism
//
// Every link (an ordered pair of names) has its own generator, seeded with
// the model's seed and the two names, and each message on it takes the same
// number of draws whatever its fate. So the fate of a message depends on the
// seed, the link, its position on that link and the faults in force, and on
// nothing that happens elsewhere; raising the loss only removes deliveries.
// No float is involved.
//
// # What it does not do
//
// It holds no messages, so a cut decides over what is sent from then on. An
// owner that wants a cut to swallow messages under way asks
// [Model.Connected] again at delivery. It does not corrupt messages: a frame
// arrives intact or not at all.
package faultnet
