package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// A sample is what was seen of a daemon at one moment.
type sample struct {
	at     float64 // seconds since the beginning
	values map[string]float64
}

// A table holds the samples of each daemon, by its name, in the order of time.
type table map[string][]sample

// read reads a CSV with the columns seconds and daemon, and one for each series. A cell that is empty
// was not seen.
func read(r io.Reader) (table, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 || len(rows[0]) < 3 || rows[0][0] != "seconds" || rows[0][1] != "daemon" {
		return nil, errors.New("these are no samples")
	}
	t := table{}
	for i, row := range rows[1:] {
		s := sample{values: map[string]float64{}}
		if s.at, err = strconv.ParseFloat(row[0], 64); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		for j, cell := range row[2:] {
			if cell == "" {
				continue
			}
			if s.values[rows[0][j+2]], err = strconv.ParseFloat(cell, 64); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+2, err)
			}
		}
		t[row[1]] = append(t[row[1]], s)
	}
	for _, samples := range t {
		slices.SortStableFunc(samples, func(a, b sample) int { return int(a.at*1000) - int(b.at*1000) })
	}
	return t, nil
}

// end is the time of the last sample.
func (t table) end() float64 {
	end := 0.0
	for _, samples := range t {
		end = max(end, samples[len(samples)-1].at)
	}
	return end
}
