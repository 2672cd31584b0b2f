-- needs: _start _money
-- ARGV[3..]: id, ttl, first cap, second cap or ''; then name, limit or '', whether it shortens, whether it may begin,
-- start, end and whether it may miss of each account.
-- Answers: {granted}, {-1, who refuses} or {-2, places that are missing}; the first two followed by spent and open of
-- each, -1 for those that may miss and do.
local LAPSED_AT_ONCE = 200 -- more than that would keep a request waiting
local id, ttl = ARGV[3], tonumber(ARGV[4])
local caps = {tonumber(ARGV[5]), tonumber(ARGV[6])}
lapse(LAPSED_AT_ONCE)

local held_cap, state, held_names = held(id)
local stands_in = set(held_names or {})
local fields = {'run', 'whole'}
local accounts = {}
for at = 7, #ARGV, 7 do
  local name = ARGV[at]
  accounts[#accounts + 1] = {
    name = name, limit = tonumber(ARGV[at + 1]), shortens = ARGV[at + 2] == '1', may_begin = ARGV[at + 3] == '1',
    starts = tonumber(ARGV[at + 4]), ends = ARGV[at + 5], may_miss = ARGV[at + 6] == '1', own = stands_in[name] and held_cap or 0,
  }
  fields[#fields + 1] = 's:' .. name
  fields[#fields + 1] = 'o:' .. name
  fields[#fields + 1] = 'e:' .. name
end
local found = redis.call('HMGET', MONEY, unpack(fields))
local whole = found[1] == ARGV[2] and redis.call('HGET', HELD, RUN) == ARGV[2] and tonumber(found[2] or nil) or nil

-- Charged at its cap already, a lapsed reservation may ask for no more.
local missing, must_be_there = {-2}, false
for place, account in ipairs(accounts) do
  local spent, open, ends = unpack(found, place * 3, place * 3 + 2)
  account.begins = whole and not spent and account.may_begin and account.starts >= whole
  account.spent, account.open = tonumber(spent or 0), tonumber(open or 0)
  account.is_prolonged = spent and tonumber(account.ends) > tonumber(ends or 0)
  if state == 'l' or not whole or not (spent or account.begins) then
    missing[#missing + 1] = place - 1
    must_be_there = must_be_there or not account.may_miss
    account.misses, account.limit, account.spent, account.open = true, nil, -1, -1
  end
end
if must_be_there then return missing end

-- Place of the first cap that the account takes. What is held already asks for nothing, even over the limit.
local function taken(account)
  for place = 1, account.shortens and #caps or 1 do
    local more = math.max(caps[place], held_cap or 0) - account.own
    if not account.limit or more <= 0 or account.spent + account.open + more <= account.limit then return place end
  end
end

local function answer(first, second)
  local flat = {first}
  if second then flat[2] = second end
  for _, account in ipairs(accounts) do
    flat[#flat + 1] = account.spent
    flat[#flat + 1] = account.open
  end
  return flat
end

if state == 'l' then return answer(0) end

local granted = 1
for place, account in ipairs(accounts) do
  local own = taken(account)
  if not own then return answer(-1, place - 1) end
  granted = math.max(granted, own)
end

-- One cap holds in all accounts it stands in, those that this step does not name included.
local cap, names = math.max(caps[granted], held_cap or 0), {}
for _, account in ipairs(accounts) do
  local name, more = account.name, cap - account.own
  if account.is_prolonged and not account.misses then redis.call('HSET', MONEY, 'e:' .. name, account.ends) end
  if account.begins then redis.call('HSET', MONEY, 's:' .. name, 0, 'e:' .. name, account.ends) end
  if not account.misses then
    if more > 0 then redis.call('HINCRBY', MONEY, 'o:' .. name, more) end
    account.open = account.open + more
  end
  names[#names + 1] = name
  stands_in[name] = nil
end
for name in pairs(stands_in) do
  add(name, 0, cap - held_cap)
  names[#names + 1] = name
end
redis.call('HSET', HELD, id, join(cap, 'o', names))
redis.call('ZADD', OPEN, math.max(now + ttl, tonumber(redis.call('ZSCORE', OPEN, id) or 0)), id)
return answer(granted - 1)
