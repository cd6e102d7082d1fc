package placement

import (
	"strconv"
	"strings"
	"time"
)

// Toleration lets an instance run on nodes with matching taints.
type Toleration struct {
	// Key of the taints tolerated. Empty tolerates every key, and needs Exists.
	Key string `json:"key,omitempty"`
	// Value that the taint must have, unless Exists is set.
	Value string `json:"value,omitempty"`
	// Exists tolerates any value.
	Exists bool `json:"exists,omitempty"`
	// Effect tolerated; empty tolerates all effects.
	Effect Effect `json:"effect,omitempty"`
	// Seconds bounds how long a NoExecute taint is tolerated; 0 is without
	// limit.
	Seconds int64 `json:"seconds,omitempty"`
}

// TolerateEqual tolerates taints of this key and value, of any effect.
func TolerateEqual(key, value string) Toleration { return Toleration{Key: key, Value: value} }

// TolerateExists tolerates taints of this key with any value and effect; an
// empty key tolerates all taints.
func TolerateExists(key string) Toleration { return Toleration{Key: key, Exists: true} }

// OnlyFor returns t restricted to one effect.
func (t Toleration) OnlyFor(effect Effect) Toleration {
	t.Effect = effect
	return t
}

// AtMost returns t restricted to so many seconds of NoExecute.
func (t Toleration) AtMost(seconds int64) Toleration {
	t.Seconds = seconds
	return t
}

// Tolerates reports whether t covers the taint.
func (t Toleration) Tolerates(taint Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Key == "" {
		return t.Exists
	}
	return t.Key == taint.Key && (t.Exists || t.Value == taint.Value)
}

// Tolerated reports whether one of the tolerations covers the taint.
func Tolerated(taint Taint, tolerations []Toleration) bool {
	for _, t := range tolerations {
		if t.Tolerates(taint) {
			return true
		}
	}
	return false
}

// EvictionDelay returns how long an instance with these tolerations may stay
// under a NoExecute taint, counted from the later of the instant it was
// placed and the instant the taint was added: the least Seconds among the
// tolerations that cover the taint, 0 if none covers it. It reports false if
// the instance may stay forever, because every covering toleration is
// without limit or because the taint has another effect.
func EvictionDelay(taint Taint, tolerations []Toleration) (time.Duration, bool) {
	if taint.Effect != NoExecute {
		return 0, false
	}
	var (
		covered bool
		least   int64
	)
	for _, t := range tolerations {
		if !t.Tolerates(taint) {
			continue
		}
		covered = true
		if t.Seconds > 0 && (least == 0 || t.Seconds < least) {
			least = t.Seconds
		}
	}
	if covered && least == 0 {
		return 0, false
	}
	return time.Duration(min(least, maxTolerationSeconds)) * time.Second, true
}

// maxTolerationSeconds keeps a delay inside a time.Duration.
const maxTolerationSeconds = int64(1<<63-1) / int64(time.Second)

// Validate reports every mistake in the toleration.
func (t Toleration) Validate() error {
	var found mistakes
	if t.Key == "" && !t.Exists {
		found.add("key", "", "an empty key needs exists")
	}
	if t.Exists && t.Value != "" {
		found.add("value", t.Value, "exists takes no value")
	}
	found.checkID("key", t.Key)
	found.checkValue("value", t.Value)
	if t.Effect != "" && !t.Effect.valid() {
		found.add("effect", string(t.Effect), "want NoSchedule, PreferNoSchedule, NoExecute or none")
	}
	switch {
	case t.Seconds < 0 || t.Seconds > maxTolerationSeconds:
		found.addAmount("seconds", t.Seconds, "out of range")
	case t.Seconds > 0 && t.Effect != "" && t.Effect != NoExecute:
		found.addAmount("seconds", t.Seconds, "only NoExecute has a time")
	}
	return found.join()
}

// String writes the toleration as key=value[:Effect][ for Ns] or, with
// Exists, as key[:Effect][ for Ns], where the key * stands for all.
func (t Toleration) String() string {
	text := joinTaint(t.Key, t.Value, !t.Exists, t.Effect)
	if t.Key == "" {
		text = "*" + strings.TrimPrefix(text, `""`)
	}
	if t.Seconds != 0 {
		text += " for " + strconv.FormatInt(t.Seconds, 10) + "s"
	}
	return text
}

// ParseToleration reads the text form of Toleration.String.
func ParseToleration(text string) (Toleration, error) {
	body, all := strings.CutPrefix(text, "*")
	t, rest, reason := cutTaint(body)
	switch {
	case reason != "":
	case all && body != "" && body[0] != ':' && body[0] != ' ':
		reason = "* stands alone"
	case !all && t.Key == "":
		reason = "want a key or *"
	}
	if after, ok := strings.CutPrefix(rest, " for "); ok && reason == "" {
		t.Seconds, reason = parseSeconds(after)
		rest = ""
	}
	if reason == "" && rest != "" {
		reason = "unexpected " + strconv.Quote(rest)
	}
	if reason != "" {
		return Toleration{}, invalid("toleration", text, reason)
	}
	if err := t.Validate(); err != nil {
		return Toleration{}, Within("toleration", err)
	}
	return t, nil
}

func parseSeconds(text string) (n int64, reason string) {
	digits, ok := strings.CutSuffix(text, "s")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n == 0 {
		return 0, "want a number of seconds like 300s"
	}
	return n, ""
}
