namespace Grok1Cluster.Model.Checkpoints.Pickle;

/// <summary>
/// The stack machine: moves values between stack and memo, and leaves to <see cref="NumpyObjects"/> what globals, REDUCE, NEWOBJ and
/// BUILD mean. An official file takes some 130 operations, 40 memo entries and 3 nested marks; the limits stand well above that.
/// </summary>
internal sealed class PickleMachine(PickleInput input)
{
    private const int MaxOperations = 2048;
    private const int MaxStack = 256;
    private const int MaxMarks = 16;
    private const int MaxMemo = 512;
    private const int MaxTuple = 32;

    private readonly NumpyObjects _objects = new(input);
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<uint, object?> _memo = [];

    /// <summary>Runs to STOP, which must be the file's last byte and leave exactly one tensor on the stack.</summary>
    public PickledTensor Run()
    {
        if (input.ReadOpcode() != PickleOpcode.PROTO)
            throw input.Refuse("a file that does not begin with PROTO (no pickle, or one of protocol 0 or 1)");
        if (input.ReadByte() is < 2 or > 5)
            throw input.Refuse("a pickle protocol other than 2 to 5");

        for (var operations = 0; operations < MaxOperations; operations++)
        {
            var opcode = input.ReadOpcode();
            if (opcode == PickleOpcode.STOP)
                return Result();
            Execute(opcode);
            if (_stack.Count > MaxStack)
                throw input.Refuse($"a stack of more than {MaxStack} values");
        }
        throw input.Refuse($"a program of more than {MaxOperations} operations");
    }

    private void Execute(PickleOpcode opcode)
    {
        switch (opcode)
        {
            case PickleOpcode.FRAME: input.EnterFrame(); break;
            case PickleOpcode.MARK: PushMark(); break;

            case PickleOpcode.NONE: _stack.Add(null); break;
            case PickleOpcode.NEWTRUE: _stack.Add(true); break;
            case PickleOpcode.NEWFALSE: _stack.Add(false); break;
            case PickleOpcode.BININT: _stack.Add((long)input.ReadInt32()); break;
            case PickleOpcode.BININT1: _stack.Add((long)input.ReadByte()); break;
            case PickleOpcode.BININT2: _stack.Add((long)input.ReadUInt16()); break;
            case PickleOpcode.LONG1: _stack.Add(input.ReadInteger(input.ReadByte())); break;
            case PickleOpcode.SHORT_BINUNICODE: _stack.Add(input.ReadText(input.ReadByte())); break;
            case PickleOpcode.BINUNICODE: _stack.Add(input.ReadText(input.ReadUInt32())); break;
            case PickleOpcode.BINUNICODE8: _stack.Add(input.ReadText(input.ReadLength64())); break;
            case PickleOpcode.SHORT_BINBYTES: _stack.Add(input.SkipBytes(input.ReadByte())); break;
            case PickleOpcode.BINBYTES: _stack.Add(input.SkipBytes(input.ReadUInt32())); break;
            case PickleOpcode.BINBYTES8: _stack.Add(input.SkipBytes(input.ReadLength64())); break;

            case PickleOpcode.EMPTY_TUPLE: _stack.Add(new PickledTuple([])); break;
            case PickleOpcode.TUPLE1: _stack.Add(new PickledTuple(PopMany(1))); break;
            case PickleOpcode.TUPLE2: _stack.Add(new PickledTuple(PopMany(2))); break;
            case PickleOpcode.TUPLE3: _stack.Add(new PickledTuple(PopMany(3))); break;
            case PickleOpcode.TUPLE: _stack.Add(new PickledTuple(PopToMark())); break;
            case PickleOpcode.EMPTY_DICT: _stack.Add(new PickledDict([])); break;
            case PickleOpcode.SETITEM: SetItems(PopMany(2)); break;
            case PickleOpcode.SETITEMS: SetItems(PopToMark()); break;

            case PickleOpcode.BINGET: Recall(input.ReadByte()); break;
            case PickleOpcode.LONG_BINGET: Recall(input.ReadUInt32()); break;
            case PickleOpcode.BINPUT: Memoize(input.ReadByte()); break;
            case PickleOpcode.LONG_BINPUT: Memoize(input.ReadUInt32()); break;
            case PickleOpcode.MEMOIZE: Memoize((uint)_memo.Count); break;

            case PickleOpcode.GLOBAL: _stack.Add(_objects.Find(input.ReadLine(), input.ReadLine())); break;
            case PickleOpcode.STACK_GLOBAL: PushStackGlobal(); break;
            case PickleOpcode.REDUCE: Replace(2, operands => _objects.Reduce(operands[0], operands[1])); break;
            case PickleOpcode.NEWOBJ: Replace(2, operands => _objects.New(operands[0], operands[1])); break;
            case PickleOpcode.BUILD: Replace(2, operands => _objects.Build(operands[0], operands[1])); break;

            default: throw input.Refuse(Enum.IsDefined(opcode) ? $"the opcode {opcode}" : $"the unknown opcode 0x{(byte)opcode:x2}");
        }
    }

    private PickledTensor Result()
    {
        if (!input.AtEnd)
            throw input.Refuse("more bytes after STOP");
        if (_marks.Count != 0 || _stack.Count != 1)
            throw input.Refuse($"a STOP with {_marks.Count} open marks and {_stack.Count} values on the stack");
        return _objects.Finish(_stack[0]);
    }

    private void PushMark()
    {
        if (_marks.Count == MaxMarks)
            throw input.Refuse($"a MARK inside {MaxMarks} others");
        _marks.Add(_stack.Count);
    }

    private void PushStackGlobal()
    {
        var names = PopMany(2);
        if (names is not [string module, string name])
            throw input.Refuse("a STACK_GLOBAL whose names are no text");
        _stack.Add(_objects.Find(module, name));
    }

    private void Replace(int operands, Func<object?[], object> operation) => _stack.Add(operation(PopMany(operands)));

    private void SetItems(object?[] items)
    {
        if (items.Length % 2 != 0 || Peek() is not PickledDict dict)
            throw input.Refuse("items set on something other than a dict, or a key without a value");
        for (var i = 0; i < items.Length; i += 2)
            if (items[i] is not string key || !dict.Items.TryAdd(key, items[i + 1]))
                throw input.Refuse("a dict key that is no text or occurs twice");
    }

    private void Memoize(uint index)
    {
        if (index >= MaxMemo)
            throw input.Refuse($"memo entry {index} (at most {MaxMemo} are kept)");
        _memo[index] = Peek();
    }

    private void Recall(uint index) =>
        _stack.Add(_memo.TryGetValue(index, out var value) ? value : throw input.Refuse($"memo entry {index}, which was never stored"));

    /// <summary>Values above the last mark: an operation may not reach below it.</summary>
    private int Available => _stack.Count - (_marks.Count > 0 ? _marks[^1] : 0);

    private object? Peek() => Available > 0 ? _stack[^1] : throw Underflow();

    private object?[] PopMany(int count)
    {
        if (count > Available)
            throw Underflow();
        var values = _stack.GetRange(_stack.Count - count, count).ToArray();
        _stack.RemoveRange(_stack.Count - count, count);
        return values;
    }

    private object?[] PopToMark()
    {
        if (_marks.Count == 0)
            throw input.Refuse("an operation back to a MARK that is not there");
        if (Available > MaxTuple)
            throw input.Refuse($"a tuple or dict update of more than {MaxTuple} values");
        var values = PopMany(Available);
        _marks.RemoveAt(_marks.Count - 1);
        return values;
    }

    private ModelException Underflow() => input.Refuse("an operation that takes more values than there are");
}
