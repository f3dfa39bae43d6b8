-- What must hold in every state of world.m.

invariant "single writer, multiple readers"
  forall n: Node do forall o: Node do
    at[n].copy = Write & n != o -> at[o].copy = Invalid
  end end;

invariant "data value: what is mapped shows the last value written"
  forall n: Node do at[n].copy != Invalid -> at[n].bytes = Latest end;

invariant "directory: no one holds what the home does not know of"
  at[home].dead | forall n: Node do
    at[n].copy != Invalid ->
      sharers[n] | (serving != Nobody & before[n])
  end;

invariant "directory: it is exact when no one is served"
  at[home].dead | serving != Nobody | forall n: Node do
    at[n].dead | at[n].copy =
      (!sharers[n] ? Invalid : (directory = Exclusive ? Write : Read))
  end;

invariant "directory: the owner is a holder, and alone when exclusive"
  directory = Untouched
  | (sharers[owner] & (directory = Exclusive -> forall n: Node do sharers[n] -> n = owner end));

-- So no message can be taken for another transaction's.
invariant "nothing old is under way when no one is served"
  serving != Nobody | forall n: Node do forall o: Node do
    !pages[n][o].full
    & forall i: Places do
      i < notes[n][o].count ->
        notes[n][o].line[i].kind = Request | notes[n][o].line[i].kind = Evict
        -- Of a move, which serves no one.
        | (notes[n][o].line[i].kind = Done & o = birth & where = Moving)
        | notes[n][o].line[i].kind = Move | notes[n][o].line[i].kind = Redirect
        | notes[n][o].line[i].kind = Yield | notes[n][o].line[i].kind = Recall
        | notes[n][o].line[i].kind = Pass
    end
  end end;

function UnderWay(): 0 .. Nodes * Nodes * (Deep + 1);
var count: 0 .. Nodes * Nodes * (Deep + 1);
begin
  count := 0;
  for n: Node do for o: Node do
    count := count + notes[n][o].count + (pages[n][o].full ? 1 : 0);
  end; end;
  return count;
end;

invariant "bounds: at most three messages a node, and three" UnderWay() <= 3 * Nodes + 3;

-- Whether nothing happens unless something new begins.
function Quiet(): boolean;
begin
  return UnderWay() = 0 & !Turn()
    & (where != Here | forall n: Node do held[n] = Invalid end)
    & (Died() = 0 | forall n: Node do at[n].halted end);
end;

invariant "answered: no one waits when all is quiet"
  Quiet() & Died() = 0 ->
    serving = Nobody & !offered & !flies & (where = Here | where = Away)
    & forall n: Node do !at[n].waits & !at[n].leaving & held[n] = Invalid end;

invariant "homes: whoever has a copy knows the home"
  flies | forall n: Node do
    at[n].copy != Invalid & !at[n].dead -> at[n].told = home | (serving != Nobody & before[n])
  end;

invariant "homes: the birth home knows where it sends others"
  where = Away & !at[birth].dead & !at[home].dead -> flies | at[birth].told = home;

-- With "answered": whatever happened, all who wait can get what they want.
liveness "progress: all can become quiet" Quiet();
