//go:build unix && !linux

package under

// suspend does nothing: a command that its terminal has stopped has to be told to go on from elsewhere.
func (p *Process) suspend() {}
