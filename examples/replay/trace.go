package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// Largest amounts that a trace may name, far above any machine and small
// enough that no sum over a trace overflows.
const (
	maxMilliCPU  = 1_000_000_000 // a million cores
	maxMemoryMiB = 1 << 30       // a pebibyte
)

// lineError says which line of a trace cannot be used, and why.
type lineError struct {
	file string
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err) }

func (e *lineError) Unwrap() error { return e.err }

// readTrace reads a file of the trace folder, gzipped or not.
func readTrace[T any](dir, name string, parse func(string, io.Reader) ([]T, error)) ([]T, error) {
	for _, ext := range []string{".csv", ".csv.gz"} {
		items, err := readFile(filepath.Join(dir, name+ext), parse)
		if !errors.Is(err, os.ErrNotExist) {
			return items, err
		}
	}
	return nil, fmt.Errorf("there is no %s.csv or %[1]s.csv.gz in %s", name, dir)
}

// readFile parses a file, gzipped or not: its first bytes tell.
func readFile[T any](path string, parse func(string, io.Reader) ([]T, error)) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	buffered := bufio.NewReader(f)
	if magic, err := buffered.Peek(2); err != nil || string(magic) != "\x1f\x8b" {
		return parse(path, buffered)
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parse(path, unzipped)
}

// parseNodes reads a node list: sn, cpu_milli, memory_mib, gpu and model. Each
// node is valid and its ID unique.
func parseNodes(file string, src io.Reader) ([]placement.Node, error) {
	var nodes []placement.Node
	columns := []string{"sn", "cpu_milli", "memory_mib", "gpu", "model"}
	err := parseTable(file, src, columns, func(r *row) error {
		n := placement.Node{
			ID: r.text("sn"),
			Capacity: placement.Resources{
				CPU:    r.number("cpu_milli", maxMilliCPU),
				Memory: r.number("memory_mib", maxMemoryMiB) * placement.MiB,
			},
			Devices: placement.Devices{Count: int(r.number("gpu", placement.MaxDevices)), Model: r.text("model")},
		}.Canonical()
		nodes = append(nodes, n)
		return errors.Join(r.err, n.Validate())
	})
	return nodes, err
}

// parseTasks reads a task list: name, cpu_milli, memory_mib, num_gpu,
// gpu_milli and, if there, gpu_spec; other columns are ignored. Each request
// is valid and its ID unique.
func parseTasks(file string, src io.Reader) ([]placement.Request, error) {
	var tasks []placement.Request
	columns := []string{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"}
	err := parseTable(file, src, columns, func(r *row) error {
		req := placement.Request{
			ID: r.text("name"),
			Resources: placement.Resources{
				CPU:    r.number("cpu_milli", maxMilliCPU),
				Memory: r.number("memory_mib", maxMemoryMiB) * placement.MiB,
				GPU:    r.gpu(),
			},
		}
		if spec := r.text("gpu_spec"); spec != "" && req.Resources.GPU > 0 {
			req.Preferences = req.Preferences.Require(placement.In(placement.LabelGPUModel, r.models(spec)...))
		}
		tasks = append(tasks, req)
		return errors.Join(r.err, req.Validate())
	})
	return tasks, err
}

// parseTable calls parse for every line after the header, which must have the
// given columns. The first column is the line's name, different in each. Every
// mistake in the text is a lineError.
func parseTable(file string, src io.Reader, columns []string, parse func(*row) error) error {
	lines := csv.NewReader(src)
	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return &lineError{file, 1, errors.New("empty, want a header")}
	}
	if err != nil {
		return located(file, err)
	}
	r := row{columns: make(map[string]int, len(header))}
	for i, name := range header {
		r.columns[name] = i
	}
	for _, name := range columns {
		if _, ok := r.columns[name]; !ok {
			return &lineError{file, 1, fmt.Errorf("no column %s in the header", name)}
		}
	}
	seen := make(map[string]int)
	for {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return located(file, err)
		}
		line, _ := lines.FieldPos(0)
		r.cells, r.err = cells, nil
		if err := parse(&r); err != nil {
			return &lineError{file, line, err}
		}
		name := r.text(columns[0])
		if first, ok := seen[name]; ok {
			return &lineError{file, line, fmt.Errorf("%s %s is on line %d already", columns[0], name, first)}
		}
		seen[name] = line
	}
}

// located turns a mistake in the form of a line into a lineError; what is
// wrong with the file itself has no line.
func located(file string, err error) error {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return &lineError{file, parse.Line, parse.Err}
	}
	return fmt.Errorf("%s: %w", file, err)
}

// row is one line of a table. It keeps all that is wrong with its cells.
type row struct {
	columns map[string]int
	cells   []string
	err     error
}

// text returns a cell, empty if there is no such column.
func (r *row) text(column string) string {
	if i, ok := r.columns[column]; ok {
		return r.cells[i]
	}
	return ""
}

func (r *row) number(column string, largest int64) int64 {
	n, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil || n < 0 || n > largest {
		r.fail("%s %q: want a whole number from 0 to %d", column, r.text(column), largest)
		return 0
	}
	return n
}

// gpu returns what num_gpu devices of gpu_milli each are together.
func (r *row) gpu() int64 {
	count := r.number("num_gpu", placement.MaxDevices)
	each := r.number("gpu_milli", placement.Device)
	switch {
	case count == 0 && each != 0:
		r.fail("gpu_milli %d: want 0 without GPUs", each)
	case count == 1 && each == 0, count > 1 && each != placement.Device:
		r.fail("gpu_milli %d of %d GPUs: want 1 to 1000 of one, 1000 of several", each, count)
	}
	return count * each
}

// models returns the models of a gpu_spec such as "P100|T4", each once.
func (r *row) models(spec string) []string {
	models := strings.Split(spec, "|")
	slices.Sort(models)
	if models[0] == "" {
		r.fail("gpu_spec %q: empty model", spec)
	}
	return slices.Compact(models)
}

func (r *row) fail(format string, args ...any) {
	r.err = errors.Join(r.err, fmt.Errorf(format, args...))
}
