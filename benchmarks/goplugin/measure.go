package main

// The measurements, taken as those of the other contestants are: an echo of 8 bytes for round trips
// and calls in flight, of 1 MiB for the volume (payload counted once).

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	inFlightCalls = 64
	warmUpCalls   = 200
)

var (
	smallPayload = []byte("12345678")
	bigPayload   = make([]byte, 1<<20)
)

func (h *host) warmUp() error {
	for i := 0; i < warmUpCalls; i++ {
		if err := h.echo.call(smallPayload); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) roundTrip(span time.Duration) (interface{}, error) {
	var times []time.Duration
	for end := time.Now().Add(span); ; {
		before := time.Now()
		if before.After(end) {
			break
		}
		if err := h.echo.call(smallPayload); err != nil {
			return nil, err
		}
		times = append(times, time.Since(before))
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	n := len(times)
	return map[string]float64{
		"median_us": microseconds(times[n/2]),
		"p99_us":    microseconds(times[n*99/100]),
	}, nil
}

func (h *host) inFlight(span time.Duration) (interface{}, error) {
	var group sync.WaitGroup
	var calls int64
	var failed atomic.Value
	start := time.Now()
	for i := 0; i < inFlightCalls; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Since(start) < span {
				if err := h.echo.call(smallPayload); err != nil {
					failed.Store(err)
					return
				}
				atomic.AddInt64(&calls, 1)
			}
		}()
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return nil, err.(error)
	}
	return map[string]float64{"per_s": float64(calls) / time.Since(start).Seconds()}, nil
}

func (h *host) big(span time.Duration) (interface{}, error) {
	bytes := 0
	start := time.Now()
	for time.Since(start) < span {
		if err := h.echo.call(bigPayload); err != nil {
			return nil, err
		}
		bytes += len(bigPayload)
	}
	return map[string]float64{"mb_per_s": float64(bytes) / 1e6 / time.Since(start).Seconds()}, nil
}

// coldStart times a plugin of its own, from before its process exists to its first answer.
func coldStart() (interface{}, error) {
	before := time.Now()
	fresh, err := startPlugin()
	if err != nil {
		return nil, err
	}
	defer fresh.stop()
	if err := fresh.echo.call(smallPayload); err != nil {
		return nil, err
	}
	took := time.Since(before)
	memory, err := privateMiB(fresh.pid)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"ms": microseconds(took) / 1000, "private_mib": memory}, nil
}

// privateMiB is the memory that a process shares with nobody.
func privateMiB(pid int) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	total := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var name string
		var kib int
		fmt.Sscan(lines.Text(), &name, &kib)
		if name == "Private_Clean:" || name == "Private_Dirty:" {
			total += kib
		}
	}
	return float64(total) / 1024, nil
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
