-- One hash holds all accounts and what says whether they may be believed, so that no eviction takes one of them alone:
--   run whole began token until    the server's run, whole since, the rebuild that is marked
--   s:NAME o:NAME e:NAME           an account: spent, open, its end
--   f:NAME                         when it was marked for the first time
-- Reservations are a second hash, id -> `cap|state|account<newline>account`, and two sorted sets of ids: those that are
-- open (state o) by their end, and those that lapsed (l, followed by their end) in the order in which they are to be
-- looked for. All are the last of KEYS, in this order.
-- The hash of reservations holds the server's run too, under a name that no request has. Should it be evicted alone,
-- nothing would ever close what is open in the accounts: the store is not whole then. Without a sorted set
-- reservations lapse no more, or are looked for no more; whoever has the request settles them as ever.
local MONEY, HELD, OPEN, LAPSED, LATE, TOLD = unpack(KEYS, #KEYS - 5)

local function join(cap, state, names, ended)
  return text(cap) .. '|' .. state .. (ended or '') .. '|' .. table.concat(names, '\n')
end

local RUN = '.'

-- Cap, state, names and, when it lapsed, its end; nothing when there is no such reservation.
local function held(id)
  local found = redis.call('HGET', HELD, id)
  if not found or id == RUN then return end
  local cap, state, ended, rest = string.match(found, '^(%d+)|(.)(%d*)|(.*)$')
  local names = {}
  for name in string.gmatch(rest, '[^\n]+') do names[#names + 1] = name end
  return tonumber(cap), state, names, ended
end

-- What no longer is an account stays none.
local function add(name, spent, open)
  if redis.call('HEXISTS', MONEY, 's:' .. name) == 0 then return end
  if spent ~= 0 then redis.call('HINCRBY', MONEY, 's:' .. name, spent) end
  if open ~= 0 then redis.call('HINCRBY', MONEY, 'o:' .. name, open) end
end

local function set(list)
  local found = {}
  for _, name in ipairs(list) do found[name] = true end
  return found
end

-- When the store is whole since; nothing when it is empty or of another life.
local function whole_since()
  local found = redis.call('HMGET', MONEY, 'run', 'whole')
  if found[1] ~= ARGV[2] or redis.call('HGET', HELD, RUN) ~= ARGV[2] then return end
  return tonumber(found[2] or nil)
end

-- Token of the rebuild that is marked, ''.
local function marked()
  local found = redis.call('HMGET', MONEY, 'run', 'token', 'until')
  if found[1] ~= ARGV[2] or not found[2] or tonumber(found[3]) <= now then return '' end
  return found[2]
end

-- Charges those whose time is over at their caps; returns how many.
local function lapse(at_most)
  local due = redis.call('ZRANGEBYSCORE', OPEN, '-inf', now, 'WITHSCORES', 'LIMIT', 0, at_most)
  for place = 1, #due, 2 do
    local id = due[place]
    local cap, _, names = held(id)
    redis.call('ZREM', OPEN, id)
    if cap then
      for _, name in ipairs(names) do add(name, cap, -cap) end
      redis.call('HSET', HELD, id, join(cap, 'l', names, due[place + 1]))
      redis.call('ZADD', LAPSED, due[place + 1], id)
    end
  end
  return #due / 2
end
