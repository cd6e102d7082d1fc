package placement

import "strconv"

// String returns the operator as it stands in the text form of a constraint.
func (op Operator) String() string {
	switch op {
	case OpEqual:
		return "="
	case OpNotEqual:
		return "!="
	case OpIn:
		return "in"
	case OpNotIn:
		return "notin"
	case OpExists:
		return "exists"
	case OpNotExists:
		return "notexists"
	case OpGreater:
		return ">"
	case OpLess:
		return "<"
	case OpVersion:
		return "version"
	case OpSemVer:
		return "semver"
	case OpMatches:
		return "matches"
	case OpAnd:
		return "and"
	case OpOr:
		return "or"
	case OpNot:
		return "not"
	default:
		return "none"
	}
}

// String returns the canonical text of c, its only encoding:
//
//	region = eu            region != eu
//	region in (eu, us)     region notin (eu, us)
//	ssd exists             ssd notexists
//	cores > 8              cores < 64
//	kernel version ">= 5.4, < 7"
//	agent semver ">= 1.4.0-rc.1"
//	host matches "^db-"
//	a = 1 and (b = 2 or not (c exists))
//
// Keys and values of letters, digits and "._/:@+-" stand bare, others quoted
// as in Go. ParseConstraint reads it back; the zero Constraint is "".
func (c Constraint) String() string {
	text, _ := c.AppendText(nil)
	return string(text)
}

func (c *Constraint) appendText(b []byte) []byte {
	switch c.op {
	case OpAnd, OpOr:
		return c.appendList(b)
	case OpNot:
		b = append(b, "not ("...)
		return append(c.operands[0].appendText(b), ')')
	default:
		return c.appendRule(b)
	}
}

func (c *Constraint) appendList(b []byte) []byte {
	if len(c.operands) < 2 {
		b = append(append(b, c.op.String()...), ' ')
	}
	for i := range c.operands {
		if i > 0 {
			b = append(append(append(b, ' '), c.op.String()...), ' ')
		}
		b = c.operands[i].appendOperand(b)
	}
	return b
}

func (c *Constraint) appendRule(b []byte) []byte {
	b = appendWord(b, c.key)
	b = append(append(b, ' '), c.op.String()...)
	switch c.op {
	case OpEqual, OpNotEqual:
		return appendWord(append(b, ' '), c.value)
	case OpVersion, OpSemVer, OpMatches:
		return strconv.AppendQuote(append(b, ' '), c.value)
	case OpGreater, OpLess:
		return strconv.AppendInt(append(b, ' '), c.bound, 10)
	case OpIn, OpNotIn:
		b = append(b, " ("...)
		for i, value := range c.values {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendWord(b, value)
		}
		return append(b, ')')
	default:
		return b
	}
}

func (c *Constraint) appendOperand(b []byte) []byte {
	if c.op == OpAnd || c.op == OpOr {
		return append(c.appendText(append(b, '(')), ')')
	}
	return c.appendText(b)
}

func appendWord(b []byte, word string) []byte {
	if !isBareWord(word) {
		return strconv.AppendQuote(b, word)
	}
	return append(b, word...)
}

func isBareWord(word string) bool {
	switch word {
	case "", "and", "or", "not", "in", "notin", "exists", "notexists", "version", "semver", "matches":
		return false
	}
	for i := range len(word) {
		if !isBareByte(word[i]) {
			return false
		}
	}
	return true
}

func isBareByte(c byte) bool { return isNameByte(c) || c == '@' || c == '+' }

// AppendText appends the canonical text to b and returns the longer slice; two
// valid constraints have the same text if and only if they are Equal. It
// allocates nothing if b has room, and never fails. It implements
// encoding.TextAppender.
func (c Constraint) AppendText(b []byte) ([]byte, error) {
	if c.op == 0 {
		return b, nil
	}
	return c.appendText(b), nil
}

// MarshalText returns the canonical text.
func (c Constraint) MarshalText() ([]byte, error) { return c.AppendText(nil) }

// UnmarshalText reads the canonical text; empty text is the zero Constraint.
func (c *Constraint) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Constraint{}
		return nil
	}
	parsed, err := ParseConstraint(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
