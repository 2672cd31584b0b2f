-- needs: _start _money
-- ARGV[3..]: token, ttl, whether these are the last accounts, how many they are; name, end and spent of each; id, cap, how many accounts and their names of
-- each request that was open.
if ARGV[3] == '' or marked() ~= ARGV[3] then return 0 end
local ends = now + tonumber(ARGV[4])
local at, anew = 7, {}
for _ = 1, tonumber(ARGV[6]) do
  local name = ARGV[at]
  redis.call('HSET', MONEY, 's:' .. name, ARGV[at + 2], 'o:' .. name, 0, 'e:' .. name, ARGV[at + 1])
  anew[name] = true
  at = at + 3
end

-- Adds to the accounts made anew, and to those that it was not counted in.
local function charge(names, counted_in, spent)
  local counted = set(counted_in)
  for name in pairs(set(names)) do
    if anew[name] or not counted[name] then add(name, spent, 0) end
  end
end

-- What is open in accounts made anew is added up at the end, for all reservations.
local function take_in(id, cap, names)
  local late = redis.call('HGET', LATE, id)
  if late then
    local cost, rest = string.match(late, '^(%d+)|l|(.*)$')
    local counted = {}
    for name in string.gmatch(rest, '[^\n]+') do counted[#counted + 1] = name end
    return charge(names, counted, tonumber(cost))
  end
  local own, state, stands_in, ended = held(id)
  if not own then
    own, state, stands_in = cap, 'o', {}
    redis.call('ZADD', OPEN, ends, id)
  end
  if state == 'l' then charge(names, stands_in, own) end
  local known = set(stands_in)
  for _, name in ipairs(names) do
    if not known[name] then
      if state == 'o' and not anew[name] then add(name, 0, own) end
      known[name] = true
      stands_in[#stands_in + 1] = name
    end
  end
  redis.call('HSET', HELD, id, join(own, state, stands_in, ended))
end

local is_held = {}
while at <= #ARGV do
  local id, cap, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local names = {}
  for place = 1, count do names[place] = ARGV[at + 2 + place] end
  take_in(id, cap, names)
  is_held[id] = true
  at = at + 3 + count
end

-- Those that were reserved while such an account was missing, and are settled by now.
local late = redis.call('HGETALL', LATE)
for place = 1, #late, 2 do
  if not is_held[late[place]] then
    local cost, rest = string.match(late[place + 1], '^(%d+)|l|(.*)$')
    for name in string.gmatch(rest, '[^\n]+') do
      if anew[name] then add(name, tonumber(cost), 0) end
    end
  end
end

-- Accounts made anew: what is open in them, and no more of what lapsed and stands in the ledger by now, at its cost.
for _, id in ipairs(redis.call('HKEYS', HELD)) do
  local cap, state, names, ended = held(id)
  local kept = {}
  for _, name in ipairs(names or {}) do
    if state == 'o' and anew[name] then redis.call('HINCRBY', MONEY, 'o:' .. name, cap) end
    if state == 'o' or is_held[id] or not anew[name] then kept[#kept + 1] = name end
  end
  if names and #kept < #names then redis.call('HSET', HELD, id, join(cap, state, kept, ended)) end
end

if ARGV[5] == '0' then return 1 end
redis.call('HSETNX', MONEY, 'whole', redis.call('HGET', MONEY, 'began'))
redis.call('HDEL', MONEY, 'token', 'until', 'began')
redis.call('DEL', LATE, TOLD)
return 1
