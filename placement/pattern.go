package placement

import (
	"regexp"
	"regexp/syntax"
)

// maxPatternSize bounds the compiled form of a pattern. Repetitions make it
// much longer than its text: without a bound, one of 1,024 bytes would take
// megabytes and a second for a label value.
const maxPatternSize = 4 * MaxValueBytes

// compilePattern compiles a pattern of Matches, of bounded length and size.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > MaxValueBytes {
		return nil, invalid("", pattern, tooLong(MaxValueBytes))
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, invalid("", pattern, err.Error())
	}
	if patternSize(parsed) > maxPatternSize {
		return nil, invalid("", pattern, "repeats too much")
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid("", pattern, err.Error())
	}
	return compiled, nil
}

// patternSize returns about the number of instructions that a pattern takes.
// Package syntax bounds the product of nested repetitions, so it does not
// overflow.
func patternSize(re *syntax.Regexp) int {
	size := 1
	for _, sub := range re.Sub {
		size += patternSize(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		size += len(re.Rune)
	case syntax.OpRepeat:
		size *= max(1, re.Min, re.Max)
	default:
	}
	return size
}
