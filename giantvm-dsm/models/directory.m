-- The default protocol, stated once more: a home-based, blocking directory with write-invalidate.
--
-- Written from the tables of `protocol::directory`, not from its code, and for any number of
-- faults: the code's numbers of versions and transactions are left out, so the states are finite.
-- That the numbers are not needed to tell messages apart is checked here ("nothing old is under
-- way"). One page. Murphi, for the checker rumur; world.m and laws.m follow, see README.md.

const
  Nodes:  3; -- all of them, the home included
  Deaths: 0; -- how many nodes may die
  Moves:  0; -- whether homes move: 0 or 1
  Deep:   4; -- most messages without a page from one node to another

type
  Node:   scalarset (Nodes);
  Set:    array [Node] of boolean;
  Turns:  0 .. 2 * Nodes - 1; -- of each node at most one access and one eviction
  Places: 0 .. Deep - 1;
  -- A copy; what a thread tries or is granted: Read or Write; what the home is asked to make of
  -- a node's copy: Invalid means that the node would rather not keep it.
  Rights: enum {Invalid, Read, Write};
  -- Whether bytes are the last ones written. A store makes all others old.
  Bytes:  enum {Latest, Old};
  Kind:   enum {Request, Evict, Grant, Fetch, Invalidate, Release, Data, Acknowledge, Returned,
                Done, Move, Redirect, Yield, Recall, Pass};
  -- Where the requester finds the bytes that it is granted.
  Source: enum {Zero, Held, Attached, Owner};

  Message: record
    kind:    Kind;
    access:  Rights;  -- Request, Fetch: what is tried; Grant: what is granted; Pass: what the
                      -- owner may do
    peer:    Node;    -- Fetch, Invalidate: the requester; Grant: the owner that sends the data;
                      -- Redirect: whom to ask; Pass: the owner
    source:  Source;  -- Grant
    awaited: Set;     -- Grant: whose Acknowledge to await
    take:    boolean; -- Release: whether the home takes the page over
    bytes:   Bytes;   -- Data, Returned, Grant: the page
  end;

  -- A request of a node that is not complete.
  Pending: record
    access:       Rights;
    then_write:   boolean; -- a thread wants to write once the read is complete
    granted:      boolean;
    rights:       Rights;  -- of the grant, like the next three
    source:       Source;
    owner:        Node;
    awaited:      Set;
    acknowledged: Set;
    sender:       Node;    -- of the data, if they came
    bytes:        Bytes;   -- stored, not mapped
  end;

  Place: record
    copy:    Rights;
    bytes:   Bytes;
    waits:   boolean; -- for what is pending
    pending: Pending;
    leaving: boolean; -- asked to be rid of the copy
    told:    Node;    -- whom it takes for the home
    dead:    boolean;
    halted:  boolean; -- lost a peer
  end;

var
  birth: Node; -- chosen once: that keeps the nodes alike
  home:  Node; -- the birth home, until that changes
  at:    array [Node] of Place;

  -- The birth home's part: where the home is. On the way means that no one is the home.
  where: enum {Here, Moving, Away, Recalled};
  flies: boolean;
  held:  array [Node] of Rights; -- who asked the birth home meanwhile; Invalid: not
  offered: boolean;              -- the home awaits its recall

  -- The home's entry of the page. While someone is served: what will hold when that is done.
  directory: enum {Untouched, Shared, Exclusive};
  owner:     Node;
  sharers:   Set; -- all holders, the owner included
  before:    Set; -- who held the page when the running transaction began
  serving:   enum {Nobody, Access, Leave, Take};
  served:    Node;
  queue: record
    count: 0 .. 2 * Nodes;
    who:   array [Turns] of Node;
    want:  array [Turns] of Rights;
  end;

  -- By sender and receiver. Messages with a page and messages without overtake one another.
  notes: array [Node] of array [Node] of record
    count: 0 .. Deep;
    line:  array [Places] of Message;
  end;
  pages: array [Node] of array [Node] of record
    full: boolean;
    page: Message;
  end;

------------------------------------------------------------------------------------------------
-- Sets and the network

procedure Empty(var set: Set);
begin for n: Node do set[n] := false; end; end;

procedure Only(var set: Set; n: Node);
begin Empty(set); set[n] := true; end;

procedure Send(from: Node; dest: Node; m: Message);
begin
  assert "no message to oneself" from != dest;
  if at[dest].dead then return; end;
  if m.kind = Data | m.kind = Returned | (m.kind = Grant & m.source = Attached) then
    assert "bounds: one page under way from one node to another" !pages[from][dest].full;
    pages[from][dest].full := true;
    pages[from][dest].page := m;
  else
    alias way: notes[from][dest] do
      assert "bounds: messages from one node to another" way.count < Deep;
      way.line[way.count] := m;
      way.count := way.count + 1;
    end;
  end;
end;

procedure Say(from: Node; dest: Node; kind: Kind);
var m: Message;
begin
  undefine m; m.kind := kind;
  Send(from, dest, m);
end;

procedure Cut(from: Node; dest: Node);
begin
  undefine notes[from][dest];
  notes[from][dest].count := 0;
  undefine pages[from][dest];
  pages[from][dest].full := false;
end;

procedure Reset(n: Node; dead: boolean);
begin
  undefine at[n];
  at[n].copy := Invalid;
  at[n].waits := false;
  at[n].leaving := false;
  at[n].told := birth;
  at[n].dead := dead;
  at[n].halted := dead;
end;

------------------------------------------------------------------------------------------------
-- The requester's and the holder's part

-- Takes a copy away, and with it the wish to be rid of it.
procedure Unmap(n: Node);
begin
  assert "what is unmapped is mapped" at[n].copy != Invalid;
  at[n].copy := Invalid;
  undefine at[n].bytes;
  at[n].leaving := false;
end;

procedure Enqueue(n: Node; want: Rights);
begin
  assert "one access of a node at a time" !(serving = Access & served = n);
  for i: Turns do
    assert "of each node one of each kind waits"
      i >= queue.count | queue.who[i] != n | (queue.want[i] = Invalid) != (want = Invalid);
  end;
  queue.who[queue.count] := n;
  queue.want[queue.count] := want;
  queue.count := queue.count + 1;
end;

function Has(n: Node; access: Rights): boolean;
begin return directory != Untouched & sharers[n] & (access = Read | directory = Exclusive); end;

procedure Requested(n: Node; access: Rights);
begin
  assert "no one asks for what it has" !Has(n, access) | (serving = Take & n = home);
  Enqueue(n, access);
end;

procedure Ask(n: Node; access: Rights);
var m: Message;
begin
  at[n].waits := true;
  undefine at[n].pending;
  at[n].pending.access := access;
  at[n].pending.then_write := false;
  at[n].pending.granted := false;
  Empty(at[n].pending.acknowledged);
  if at[n].told = n then
    if where = Moving & n = birth then held[n] := access; else Requested(n, access); end;
    return;
  end;
  undefine m; m.kind := Request; m.access := access;
  Send(n, at[n].told, m);
end;

procedure Finish();
begin
  serving := Nobody;
  undefine served;
  undefine before;
end;

-- Ends the request if all is there: the last of Grant, Data, Acknowledges.
procedure Complete(n: Node);
var then_write: boolean;
begin
  alias p: at[n].pending do
    if !p.granted | (p.source = Owner & isundefined(p.sender)) then return; end;
    if exists s: Node do p.awaited[s] & !p.acknowledged[s] end then return; end;
    at[n].copy := p.rights;
    if p.source != Held then at[n].bytes := p.bytes; end;
    then_write := p.then_write & p.rights = Read;
    at[n].waits := false;
  end;
  undefine at[n].pending;
  if at[n].told = n then
    assert "the home completes what it serves" n = home & serving = Access & served = home;
    Finish();
  else
    Say(n, at[n].told, Done);
  end;
  if then_write then Ask(n, Write); end;
end;

procedure Granted(n: Node; m: Message);
begin
  assert "Grant: it is awaited" at[n].waits;
  alias p: at[n].pending do
    assert "Grant: the first one" !p.granted;
    assert "Grant: enough" m.access = Write | p.access = Read;
    assert "Grant: Held means a copy for reading, all else none"
      at[n].copy = (m.source = Held ? Read : Invalid);
    assert "Grant: neither itself nor the home is awaited" !m.awaited[n] & !m.awaited[home];
    for s: Node do
      assert "Grant: all that came early was awaited" p.acknowledged[s] -> m.awaited[s];
    end;
    if !isundefined(p.sender) then
      assert "Grant: the data that came early are the right ones"
        m.source = Owner & m.peer = p.sender;
    end;
    p.granted := true;
    p.rights := m.access;
    p.source := m.source;
    p.awaited := m.awaited;
    if m.source = Owner then p.owner := m.peer; end;
    if m.source = Zero | m.source = Attached then p.bytes := m.bytes; end;
  end;
  Complete(n);
end;

procedure Brought(n: Node; from: Node; bytes: Bytes);
begin
  assert "Data: they are awaited, once" at[n].waits & isundefined(at[n].pending.sender);
  assert "Data: for a node without a copy" at[n].copy = Invalid;
  alias p: at[n].pending do
    if p.granted then
      assert "Data: from the source that was named" p.source = Owner & p.owner = from;
    else
      assert "Data: not before the grant on the home" at[n].told != n;
    end;
    p.sender := from;
    p.bytes := bytes;
  end;
  Complete(n);
end;

procedure Acknowledged(n: Node; from: Node);
begin
  assert "Acknowledge: it is awaited" at[n].waits & at[n].pending.access = Write;
  alias p: at[n].pending do
    assert "Acknowledge: once" !p.acknowledged[from];
    assert "Acknowledge: from a node that was named, or before the grant, but not on the home"
      p.granted ? p.awaited[from] : at[n].told != n;
    p.acknowledged[from] := true;
  end;
  Complete(n);
end;

-- Gives up as much of a copy as another's access needs; `m` gets the bytes.
procedure Surrender(n: Node; access: Rights; var m: Message);
begin
  assert "Fetch: from a holder" at[n].copy != Invalid;
  m.bytes := at[n].bytes;
  if access = Write then Unmap(n); else at[n].copy := Read; end;
end;

procedure Fetched(n: Node; requester: Node; access: Rights);
var m: Message;
begin
  undefine m; m.kind := Data;
  Surrender(n, access, m);
  Send(n, requester, m);
end;

procedure Invalidated(n: Node; requester: Node);
begin
  assert "Invalidate: a copy for reading" at[n].copy = Read;
  Unmap(n);
  Say(n, requester, Acknowledge);
end;

procedure Released(n: Node; take: boolean);
var m: Message;
begin
  assert "Release: of a copy that its holder wants gone" at[n].copy != Invalid & at[n].leaving;
  assert "Release: a writer's copy is taken over" at[n].copy = Read | take;
  if take then
    undefine m; m.kind := Returned;
    m.bytes := at[n].bytes;
    Unmap(n);
    Send(n, at[n].told, m);
  else
    Unmap(n);
    Say(n, at[n].told, Done);
  end;
end;

------------------------------------------------------------------------------------------------
-- The home's part

-- Takes one out of the queue.
procedure Remove(turn: Turns);
begin
  queue.count := queue.count - 1;
  for i: Turns do
    if turn <= i & i < queue.count then
      queue.who[i] := queue.who[i + 1];
      queue.want[i] := queue.want[i + 1];
    end;
  end;
  undefine queue.who[queue.count];
  undefine queue.want[queue.count];
end;

-- Begins to give node `n` its access.
procedure Serve(n: Node; access: Rights);
var grant, order: Message; has: boolean;
begin
  assert "what is served is still wanted" !Has(n, access);
  serving := Access;
  served := n;
  before := sharers;
  undefine grant;
  grant.kind := Grant;
  grant.access := access;
  Empty(grant.awaited);
  if directory = Untouched then
    grant.access := Write;
    grant.source := Zero;
    grant.bytes := Latest;
  else
    has := sharers[n];
    undefine order;
    order.peer := n;
    if has then
      grant.source := Held;
    elsif owner = home then
      grant.source := Attached;
      Surrender(home, access, grant);
    else
      grant.source := Owner;
      grant.peer := owner;
      order.kind := Fetch;
      order.access := access;
      Send(home, owner, order);
      undefine order.access;
    end;
    if access = Write then
      order.kind := Invalidate;
      for s: Node do
        if sharers[s] & s != n & (has | s != owner) then
          if s = home then
            Unmap(home);
          else
            grant.awaited[s] := true;
            Send(home, s, order);
          end;
        end;
      end;
    end;
  end;
  if grant.access = Write then
    directory := Exclusive;
    owner := n;
    Only(sharers, n);
  else
    directory := Shared;
    sharers[n] := true;
  end;
  if n = home then Granted(home, grant); else Send(home, n, grant); end;
end;

-- Begins to take its copy from node `n`, which has the only one.
procedure TakeOver(n: Node);
var order: Message;
begin
  serving := Take;
  served := n;
  before := sharers;
  directory := Exclusive;
  owner := home;
  Only(sharers, home);
  undefine order; order.kind := Release;
  order.take := true;
  Send(home, n, order);
end;

-- Begins to take its copy from node `n`; `heir` is a holder that stays.
procedure LetGo(n: Node; heir: Node);
var order: Message;
begin
  before := sharers;
  sharers[n] := false;
  if owner = n then owner := heir; end;
  if n = home then
    Unmap(home);
    Finish();
  else
    serving := Leave;
    served := n;
    undefine order; order.kind := Release;
    order.take := false;
    Send(home, n, order);
  end;
end;

procedure Ended(from: Node);
begin
  assert "Done: from whoever is served" (serving = Access | serving = Leave) & served = from;
  Finish();
end;

procedure TakenOver(from: Node; bytes: Bytes);
begin
  assert "Returned: from whom the home takes over" serving = Take & served = from;
  assert "Returned: to a home without a copy" at[home].copy = Invalid;
  at[home].copy := Write;
  at[home].bytes := bytes;
  -- What its own threads asked for is here: they no longer wait.
  if at[home].waits then
    at[home].waits := false;
    undefine at[home].pending;
    for i: Turns do
      if i < queue.count & queue.who[i] = home & queue.want[i] != Invalid then Remove(i); end;
    end;
  end;
  Finish();
end;

------------------------------------------------------------------------------------------------
-- The home moves: always while one node holds the page and no one is served

procedure Redirected(from: Node; dest: Node; other: Node);
var m: Message;
begin
  undefine m; m.kind := Redirect; m.peer := other;
  Send(from, dest, m);
end;

-- The birth home makes the owner the home.
procedure BeginMove();
begin
  where := Moving;
  flies := true;
  Say(birth, owner, Move);
end;

-- The home would rather not be it.
procedure Offer();
begin
  offered := true;
  Say(home, birth, Yield);
end;

procedure BecomesHome(n: Node);
begin
  assert "Move: to the only holder" at[n].copy = Write & at[n].told != n & !at[n].waits;
  assert "Move: no one else is the home" flies & owner = n & directory = Exclusive;
  home := n;
  flies := false;
  at[n].told := n;
  at[n].leaving := false;
  Say(n, birth, Done);
end;

-- The new home is in place: who waits is sent there.
procedure Moved(from: Node);
var m: Message;
begin
  where := Away;
  at[birth].told := from;
  for n: Node do
    if held[n] != Invalid then
      if n = birth then
        undefine m; m.kind := Request; m.access := held[n];
        Send(birth, from, m);
      else
        Redirected(birth, n, from);
      end;
      held[n] := Invalid;
    end;
  end;
end;

procedure Yielded(from: Node);
begin
  assert "Yield: from the home, once" where = Away & at[birth].told = from;
  where := Recalled;
  Say(birth, from, Recall);
end;

procedure IsRecalled(n: Node);
var m: Message;
begin
  assert "Recall: of a home that wants it" n = home & offered & !flies;
  offered := false;
  flies := true;
  at[n].told := birth;
  undefine m; m.kind := Pass; m.peer := owner;
  m.access := (directory = Exclusive ? Write : Read);
  Send(n, birth, m);
  if at[n].leaving then Say(n, birth, Evict); end;
  for i: Turns do
    if i < queue.count & queue.want[i] != Invalid then
      if queue.who[i] = n then
        undefine m; m.kind := Request; m.access := queue.want[i];
        Send(n, birth, m);
      elsif queue.who[i] != birth then
        Redirected(n, queue.who[i], birth);
      end;
    end;
  end;
  undefine queue;
  queue.count := 0;
end;

procedure Passed(from: Node; holder: Node; rights: Rights);
begin
  assert "Pass: when it was recalled" where = Recalled & at[birth].told = from & flies;
  assert "Pass: of what the owner has" holder = owner & sharers[holder];
  assert "Pass: the birth home has a copy if it is the owner"
    at[birth].copy = (holder = birth ? Write : Invalid);
  assert "Pass: of the only copy"
    rights = (directory = Exclusive ? Write : Read)
    & (rights = Read -> holder = from)
    & forall n: Node do sharers[n] -> n = holder end;
  home := birth;
  flies := false;
  where := Here;
  at[birth].told := birth;
  at[birth].leaving := false;
  if holder = birth | holder = from then
    if at[birth].waits then Requested(birth, at[birth].pending.access); end;
  else
    if at[birth].waits then held[birth] := at[birth].pending.access; end;
    BeginMove();
  end;
end;

-- A request at a node that is not the home, or no longer.
procedure Strayed(n: Node; from: Node; access: Rights);
begin
  if n != birth then
    if from != birth then Redirected(n, from, birth); end;
  elsif where = Away then
    assert "the home asks itself" at[birth].told != from;
    Redirected(birth, from, at[birth].told);
  else
    assert "one request of a node is held" held[from] = Invalid;
    held[from] := access;
  end;
end;

procedure SentOn(n: Node; other: Node);
var m: Message;
begin
  assert "Redirect: of a request" at[n].waits & !at[n].pending.granted & at[n].copy = Invalid;
  assert "Redirect: to another" other != n;
  at[n].told := other;
  undefine m; m.kind := Request; m.access := at[n].pending.access;
  Send(n, other, m);
end;
