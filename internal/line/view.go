package line

import "github.com/holdfast-go/holdfast/gateway"

// ReadOp reads the line as part of a transaction.
func (l *Line) ReadOp() gateway.Op { return gateway.OpGet(l.prefix(), gateway.Prefix()) }

// ViewOf is the line at the revision of a transaction, from what it answered to [Line.ReadOp].
func (l *Line) ViewOf(revision int64, answer gateway.OpResponse) View {
	read := *answer.Get
	read.Revision = revision
	return viewOf(&read, l.prefix())
}

// Unchanged holds if nobody has joined the line since it was as in v. Lines below this one count too.
func (l *Line) Unchanged(v View) gateway.Cmp {
	return gateway.CreateRevision(l.prefix(), gateway.Less, v.Revision+1).Prefix()
}

// Slot reserves a key for a member, see [session.Session.Slot].
func (l *Line) Slot() (key string, free func()) { return l.Session.Slot(l.prefix()) }
