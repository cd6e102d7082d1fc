package placement

import (
	"cmp"
	"strconv"
	"strings"
)

// Effect is what a taint does to instances that do not tolerate it.
type Effect string

// The effects of taints.
const (
	// NoSchedule refuses the node to new instances.
	NoSchedule Effect = "NoSchedule"
	// PreferNoSchedule lowers the score of the node: a soft term of weight -100.
	PreferNoSchedule Effect = "PreferNoSchedule"
	// NoExecute refuses the node to new instances and asks running ones to
	// leave, at once or when their toleration runs out.
	NoExecute Effect = "NoExecute"
)

func (e Effect) valid() bool {
	return e == NoSchedule || e == PreferNoSchedule || e == NoExecute
}

// Taint keeps instances without a matching Toleration away from a node. A node has
// at most one taint of each key and effect.
type Taint struct {
	// Key of the taint, not empty.
	Key string `json:"key"`
	// Value that a toleration of TolerateEqual must name; may be empty.
	Value string `json:"value,omitempty"`
	// Effect on instances that do not tolerate it, one of the three.
	Effect Effect `json:"effect"`
}

// compareTaints orders taints by key and effect, which identify them.
func compareTaints(a, b Taint) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect))
}

// String writes the taint as key=value:Effect, or key:Effect without a value.
func (t Taint) String() string {
	return joinTaint(t.Key, t.Value, t.Value != "", t.Effect)
}

func joinTaint(key, value string, hasValue bool, effect Effect) string {
	text := quoteTaintWord(key)
	if hasValue {
		text += "=" + quoteTaintWord(value)
	}
	if effect != "" {
		text += ":" + string(effect)
	}
	return text
}

// quoteTaintWord quotes what would be read as another part of the text form.
func quoteTaintWord(word string) string {
	if _, rest := cutBareTaintWord(word); word == "" || rest != "" {
		return strconv.Quote(word)
	}
	return word
}

// ParseTaint reads the text form of Taint.String.
func ParseTaint(text string) (Taint, error) {
	parts, rest, reason := cutTaint(text)
	if reason == "" && rest != "" {
		reason = "unexpected " + strconv.Quote(rest)
	}
	if reason != "" {
		return Taint{}, invalid("taint", text, reason)
	}
	t := Taint{Key: parts.Key, Value: parts.Value, Effect: parts.Effect}
	if err := t.Validate(); err != nil {
		return Taint{}, Within("taint", err)
	}
	return t, nil
}

// cutTaint splits key[=value][:Effect] and what follows. The parts are those
// of a toleration, which has all of a taint and says whether a value is there.
func cutTaint(text string) (parts Toleration, rest, reason string) {
	parts.Exists = true
	parts.Key, rest, reason = cutTaintWord(text)
	if after, ok := strings.CutPrefix(rest, "="); ok && reason == "" {
		parts.Exists = false
		parts.Value, rest, reason = cutTaintWord(after)
	}
	if after, ok := strings.CutPrefix(rest, ":"); ok && reason == "" {
		effect, _, _ := strings.Cut(after, " ")
		if effect == "" {
			reason = "want an effect after :"
		}
		parts.Effect, rest = Effect(effect), after[len(effect):]
	}
	return parts, rest, reason
}

func cutTaintWord(text string) (word, rest, reason string) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", "bad quote"
		}
		word, _ = strconv.Unquote(quoted) // QuotedPrefix has checked it.
		return word, text[len(quoted):], ""
	}
	word, rest = cutBareTaintWord(text)
	return word, rest, ""
}

func cutBareTaintWord(text string) (word, rest string) {
	end := 0
	for end < len(text) && isBareByte(text[end]) && text[end] != ':' && text[end] != '@' {
		end++
	}
	return text[:end], text[end:]
}

// Validate reports every mistake in the taint.
func (t Taint) Validate() error {
	var found mistakes
	if t.Key == "" {
		found.add("key", "", "empty")
	}
	found.checkID("key", t.Key)
	found.checkValue("value", t.Value)
	if !t.Effect.valid() {
		found.add("effect", string(t.Effect), "want NoSchedule, PreferNoSchedule or NoExecute")
	}
	return found.join()
}
