package placement

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

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
//	host matches "^db-"
//	a = 1 and (b = 2 or not (c exists))
//
// Keys and values of letters, digits and "._/:@+-" stand bare, others quoted
// as in Go. ParseConstraint reads it back; the zero Constraint is "".
func (c Constraint) String() string {
	if c.op == 0 {
		return ""
	}
	return string(c.appendText(nil))
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
	case OpVersion, OpMatches:
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
	case "", "and", "or", "not", "in", "notin", "exists", "notexists", "version", "matches":
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

// MarshalText returns the canonical text.
func (c Constraint) MarshalText() ([]byte, error) {
	if c.op == 0 {
		return nil, nil
	}
	return c.appendText(nil), nil
}

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

// ParseConstraint reads the text form that Constraint.String describes. "and"
// binds tighter than "or", "not" tighter than both. Errors are InvalidErrors.
func ParseConstraint(text string) (Constraint, error) {
	p := constraintParser{rest: text}
	p.next()
	c := p.or(1)
	if p.reason == "" && p.token != "" {
		p.fail("unexpected " + p.token)
	}
	if p.reason != "" {
		return Constraint{}, invalid("constraint", text, p.reason)
	}
	if err := c.Validate(); err != nil {
		return Constraint{}, within("constraint", err)
	}
	return c, nil
}

// constraintParser is a recursive-descent parser over one token of
// look-ahead. After a mistake it yields no more tokens, so that every loop
// ends, and keeps the first reason.
type constraintParser struct {
	rest   string
	token  string // as written; "" at the end
	word   string // a key or value with its quotes removed
	quoted bool
	reason string
}

func (p *constraintParser) fail(reason string) {
	if p.reason == "" {
		p.reason = reason
	}
	p.rest, p.token = "", ""
}

func (p *constraintParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	p.word, p.quoted = "", false
	n := 0
	switch {
	case p.rest == "":
	case p.rest[0] == '"' || p.rest[0] == '`':
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			p.fail("unterminated quote")
			return
		}
		p.word, _ = strconv.Unquote(quoted)
		p.quoted = true
		n = len(quoted)
	case strings.HasPrefix(p.rest, "!="):
		n = 2
	case strings.IndexByte("=<>(),", p.rest[0]) >= 0:
		n = 1
	default:
		for n < len(p.rest) && isBareByte(p.rest[n]) {
			n++
		}
		if n == 0 {
			first, _ := utf8.DecodeRuneInString(p.rest)
			p.fail("unexpected character " + strconv.QuoteRune(first))
			return
		}
		p.word = p.rest[:n]
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
}

// accept consumes the next token if it is this keyword or symbol.
func (p *constraintParser) accept(keyword string) bool {
	if p.quoted || p.token != keyword {
		return false
	}
	p.next()
	return true
}

func (p *constraintParser) expect(symbol string) {
	if !p.accept(symbol) {
		p.fail("want " + symbol)
	}
}

func (p *constraintParser) or(depth int) Constraint {
	return p.list("or", Or, func() Constraint { return p.list("and", And, func() Constraint { return p.unary(depth) }) })
}

// list parses operand (keyword operand)*, and "keyword operand" for a list of
// one, which And and Or allow.
func (p *constraintParser) list(keyword string, build func(...Constraint) Constraint, operand func() Constraint) Constraint {
	if p.accept(keyword) {
		return build(operand())
	}
	first := operand()
	if p.quoted || p.token != keyword {
		return first
	}
	all := []Constraint{first}
	for p.accept(keyword) {
		all = append(all, operand())
	}
	return build(all...)
}

func (p *constraintParser) unary(depth int) Constraint {
	// Each level of the result costs at most two here; Validate is exact.
	if depth > 2*MaxConstraintDepth {
		p.fail("nested too deeply")
		return Constraint{}
	}
	switch {
	case p.accept("not"):
		return Not(p.unary(depth + 1))
	case p.accept("("):
		c := p.or(depth + 1)
		p.expect(")")
		return c
	}
	return p.rule()
}

func (p *constraintParser) rule() Constraint {
	key := p.literal("key")
	switch {
	case p.accept("="):
		return Equal(key, p.literal("value"))
	case p.accept("!="):
		return NotEqual(key, p.literal("value"))
	case p.accept("in"):
		return In(key, p.values()...)
	case p.accept("notin"):
		return NotIn(key, p.values()...)
	case p.accept("exists"):
		return Exists(key)
	case p.accept("notexists"):
		return NotExists(key)
	case p.accept(">"):
		return Greater(key, p.integer())
	case p.accept("<"):
		return Less(key, p.integer())
	case p.accept("version"):
		return Version(key, p.literal("version range"))
	case p.accept("matches"):
		return Matches(key, p.literal("pattern"))
	}
	p.fail("want an operator after " + strconv.Quote(key))
	return Constraint{}
}

func (p *constraintParser) literal(what string) string {
	if !p.quoted && !isBareWord(p.word) {
		p.fail("want a " + what)
		return ""
	}
	word := p.word
	p.next()
	return word
}

func (p *constraintParser) integer() int64 {
	text := p.literal("number")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.fail("want an integer instead of " + strconv.Quote(text))
	}
	return n
}

func (p *constraintParser) values() []string {
	p.expect("(")
	values := []string{p.literal("value")}
	for p.accept(",") {
		values = append(values, p.literal("value"))
	}
	p.expect(")")
	return values
}
