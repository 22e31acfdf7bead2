package machine

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processorTimes reads the times of the machine, and of this process with its descendants.
func processorTimes() (times, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return times{}, false
	}
	t, ok := parseMachine(string(stat))
	if !ok {
		return times{}, false
	}
	var all []process
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		if p, ok := parseProcess(text); ok {
			all = append(all, p)
		}
	}
	t.at, t.own = time.Now(), ownTime(all, os.Getpid())
	return t, true
}

// parseMachine reads the first line of /proc/stat. Interrupts are left out, because the
// loopback device interrupts whichever program runs.
func parseMachine(stat string) (t times, ok bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return times{}, false
	}
	var n [8]int64 // user, nice, system, idle, iowait, irq, softirq, steal
	for i := range n {
		v, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return times{}, false
		}
		n[i] = v
		t.total += v
	}
	t.all = n[0] + n[1] + n[2] + n[7]
	return t, true
}

// process is the part of /proc/<pid>/stat that is needed here.
type process struct {
	id, parent int
	used       int64 // includes the time of children that have ended
}

func parseProcess(stat []byte) (p process, ok bool) {
	// the name of the program may contain spaces and parentheses
	end := bytes.LastIndexByte(stat, ')')
	id, _, _ := bytes.Cut(stat, []byte(" "))
	if end < 0 {
		return p, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 15 {
		return p, false
	}
	var err error
	if p.id, err = strconv.Atoi(string(id)); err != nil {
		return p, false
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return p, false
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return p, false
		}
		p.used += v
	}
	return p, true
}

// ownTime sums the times of a process and its descendants.
func ownTime(all []process, id int) (sum int64) {
	children := map[int][]process{}
	for _, p := range all {
		if p.id == id {
			sum += p.used
		}
		children[p.parent] = append(children[p.parent], p)
	}
	for queue := []int{id}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			sum += p.used
			queue = append(queue, p.id)
		}
	}
	return sum
}
