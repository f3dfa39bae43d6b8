-- What may happen to the nodes of directory.m, in any order.

procedure Receive(n: Node; from: Node; m: Message);
begin
  if at[n].halted then return; end;
  switch m.kind
    case Returned:
      assert "what is for the home goes there" n = home & !flies;
    case Done:
      assert "what is for the home goes there" n = home & !flies | n = birth & where = Moving;
    case Yield, Pass:
      assert "what is for the birth home goes there" n = birth;
    case Grant, Fetch, Invalidate, Release, Redirect:
      assert "what only the home says comes from there" from = at[n].told;
    case Move, Recall:
      assert "what only the birth home says comes from there" from = birth;
  end;
  switch m.kind
    case Request:
      if n = home & !flies then Requested(from, m.access); else Strayed(n, from, m.access); end;
    -- If this is not the home, the copy has gone with it, or before.
    case Evict:       if n = home & !flies then Enqueue(from, Invalid); end;
    case Grant:       Granted(n, m);
    case Fetch:       Fetched(n, m.peer, m.access);
    case Invalidate:  Invalidated(n, m.peer);
    case Release:     Released(n, m.take);
    case Data:        Brought(n, from, m.bytes);
    case Acknowledge: Acknowledged(n, from);
    case Returned:    TakenOver(from, m.bytes);
    case Done:        if n = birth & where = Moving then Moved(from); else Ended(from); end;
    case Move:        BecomesHome(n);
    case Redirect:    SentOn(n, m.peer);
    case Yield:       Yielded(from);
    case Recall:      IsRecalled(n);
    case Pass:        Passed(from, m.peer, m.access);
  end;
end;

function Runs(n: Node): boolean;
begin return !at[n].dead & !at[n].halted; end;

-- The home serves the next one at once, or later: after a rest.
function Turn(): boolean;
begin return Runs(home) & serving = Nobody & queue.count > 0 & !flies & !offered; end;

-- Whether another holder than `n` stays.
function Others(n: Node): boolean;
begin return directory != Untouched & exists s: Node do s != n & sharers[s] end; end;

ruleset n: Node do
  startstate "node n is home" begin
    birth := n;
    home := n;
    where := Here;
    flies := false;
    offered := false;
    for n: Node do held[n] := Invalid; end;
    for n: Node do
      Reset(n, false);
      for dest: Node do Cut(n, dest); end;
    end;
    directory := Untouched;
    undefine owner;
    Empty(sharers);
    Finish();
    undefine queue;
    queue.count := 0;
  end;
end;

ruleset n: Node; write: boolean do
  rule "a thread faults"
    Runs(n)
    & (write ? at[n].copy != Write : at[n].copy = Invalid)
    -- Another thread than those that wait, or no news.
    & (at[n].waits -> write & at[n].pending.access = Read & !at[n].pending.then_write)
  ==> begin
    if at[n].waits then at[n].pending.then_write := true; else Ask(n, write ? Write : Read); end;
  end;
end;

ruleset n: Node do
  rule "a thread stores" !at[n].dead & at[n].copy = Write ==> begin
    for o: Node do
      if !isundefined(at[o].bytes) then at[o].bytes := Old; end;
      if !isundefined(at[o].pending.bytes) then at[o].pending.bytes := Old; end;
      for dest: Node do
        if pages[o][dest].full then pages[o][dest].page.bytes := Old; end;
        for i: Places do
          if !isundefined(notes[o][dest].line[i].bytes) then
            notes[o][dest].line[i].bytes := Old;
          end;
        end;
      end;
    end;
    at[n].bytes := Latest;
  end;

  rule "a node would rather not keep its copy"
    Runs(n) & at[n].copy != Invalid & !at[n].waits & !at[n].leaving
  ==> begin
    at[n].leaving := true;
    if at[n].told = n then Enqueue(n, Invalid); else Say(n, at[n].told, Evict); end;
  end;
end;

ruleset from: Node; dest: Node do
  rule "a message arrives" notes[from][dest].count > 0 ==>
  var m: Message;
  begin
    alias way: notes[from][dest] do
      m := way.line[0];
      way.count := way.count - 1;
      for i: Places do
        if i < way.count then way.line[i] := way.line[i + 1]; end;
      end;
      undefine way.line[way.count];
    end;
    Receive(dest, from, m);
  end;

  rule "a page arrives" pages[from][dest].full ==>
  var m: Message;
  begin
    m := pages[from][dest].page;
    undefine pages[from][dest].page;
    pages[from][dest].full := false;
    Receive(dest, from, m);
  end;
end;

rule "the home serves an access" Turn() & queue.want[0] != Invalid ==>
var n: Node; access: Rights;
begin
  n := queue.who[0];
  access := queue.want[0];
  Remove(0);
  Serve(n, access);
end;

rule "the home takes the page over, or no copy is left to give up"
  Turn() & queue.want[0] = Invalid & !(sharers[queue.who[0]] & Others(queue.who[0]))
==>
var n: Node;
begin
  n := queue.who[0];
  Remove(0);
  if n = home & home != birth & sharers[home] then
    Offer();
  elsif n = home then
    at[home].leaving := false;
  elsif sharers[n] then
    TakeOver(n);
  end;
end;

ruleset heir: Node do
  rule "the home lets a copy go that others have too"
    Turn() & queue.want[0] = Invalid & sharers[queue.who[0]]
    & heir != queue.who[0] & sharers[heir]
    & (sharers[home] & queue.who[0] != home -> heir = home)
  ==>
  var n: Node;
  begin
    n := queue.who[0];
    Remove(0);
    LetGo(n, heir);
  end;
end;

ruleset n: Node do
  rule "who asked meanwhile is in the queue" Runs(home) & where = Here & held[n] != Invalid ==>
  begin
    Requested(n, held[n]);
    held[n] := Invalid;
  end;
end;

-- The home moves to the owner, or is passed on: when is for whoever counts, here at any time.
rule "the owner is to be the home"
  Moves > 0 & Runs(home) & serving = Nobody & queue.count = 0 & !flies & !offered
  & directory = Exclusive & owner != home
  & forall n: Node do held[n] = Invalid | where != Here end
==> begin
  if home = birth then BeginMove(); else Offer(); end;
end;

function Died(): 0 .. Nodes;
var count: 0 .. Nodes;
begin
  count := 0;
  for n: Node do
    if at[n].dead then count := count + 1; end;
  end;
  return count;
end;

-- A node stops, with all that is on the way to it.
ruleset n: Node do
  rule "a node dies" !at[n].dead & Died() < Deaths ==> begin
    Reset(n, true);
    for from: Node do Cut(from, n); end;
  end;
end;

-- A node learns of it. What the dead one sent and did not arrive never does.
ruleset n: Node; gone: Node do
  rule "a node loses a peer" Runs(n) & at[gone].dead ==> begin
    Cut(gone, n);
    at[n].halted := true;
  end;
end;
